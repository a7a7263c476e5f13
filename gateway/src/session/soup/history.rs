//! Where a server finds the messages that it sends.

/// The sequenced messages of one user's session, as the publisher keeps them. The session state machine never owns them.
///
/// Numbers start at 1 and have no gaps. The ack policy decides what is released; a session asks for nothing beyond that, so
/// that a message which a crash could still take back never reaches a client.
///
/// A history belongs to one session id. Before it may begin anew at 1, under another id, every connection to it must have been
/// ended ([`Server::end_session`](super::Server::end_session), or `end`).
pub trait History {
    /// The number that the next message to be generated will get; 1 if there is none yet.
    fn next_sequence(&self) -> u64;

    /// The highest number that may be sent by now, 0 for none; always below [`next_sequence`](Self::next_sequence), and it
    /// never falls.
    fn released(&self) -> u64;

    /// The message of this number, without any SoupBinTCP framing. `None` if it is not kept (any more) or was never generated.
    fn get(&self, sequence: u64) -> Option<&[u8]>;
}

/// The history of a connection that has not logged in.
#[derive(Clone, Copy, Debug)]
pub struct NoHistory;

impl History for NoHistory {
    fn next_sequence(&self) -> u64 {
        1
    }

    fn released(&self) -> u64 {
        0
    }

    fn get(&self, _sequence: u64) -> Option<&[u8]> {
        None
    }
}
