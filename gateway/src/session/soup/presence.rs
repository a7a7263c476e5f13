//! Who is connected: at most one connection for each user.
//!
//! A second login of a connected user **takes over**: the new connection is served and the old one ends as superseded. The other
//! choice, refusing the newcomer, would lock a firm out after its machine or its link died: the server cannot tell a dead
//! connection from a silent one until the silence time-out, and these are the seconds in which the firm must get at its orders.
//! The newcomer has shown the password, and loses nothing: it asks for the first number it has not seen. What was read from the
//! old connection and not yet acted upon is dropped with it, as after any broken connection.

/// Connections of users, by the user's index.
#[derive(Debug)]
pub struct Presence {
    connections: Box<[Option<u64>]>,
}

impl Presence {
    /// Nobody is connected, of `users` users with indexes from 0.
    pub fn with_users(users: usize) -> Self {
        Self { connections: vec![None; users].into_boxed_slice() }
    }

    /// The user is on this connection now. Answers the connection that it was on before, which must be ended as superseded.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn enter(&mut self, user: usize, connection: u64) -> Option<u64> {
        self.connections[user].replace(connection).filter(|&old| old != connection)
    }

    /// This connection is gone. If the user is on another one by now, that one stays.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn leave(&mut self, user: usize, connection: u64) {
        let current = &mut self.connections[user];
        if *current == Some(connection) {
            *current = None;
        }
    }

    /// The connection that the user is on.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn connection(&self, user: usize) -> Option<u64> {
        self.connections[user]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_login_takes_over() {
        let mut presence = Presence::with_users(2);
        assert_eq!(presence.enter(1, 10), None);
        assert_eq!(presence.enter(1, 10), None, "the same connection supersedes nothing");
        assert_eq!(presence.enter(1, 11), Some(10));
        presence.leave(1, 10);
        assert_eq!(presence.connection(1), Some(11), "the old one's end does not log the new one out");
        presence.leave(1, 11);
        assert_eq!(presence.connection(1), None);
        assert_eq!(presence.connection(0), None);
    }
}
