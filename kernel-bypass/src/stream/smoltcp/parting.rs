//! TIME-WAIT without the connection: the last acknowledgement of each connection that was closed from here, to be said again.
//!
//! The peer's last segment may come again because our acknowledgement of it was lost. The connection's number and buffers are long
//! somebody else's; all that is needed is the one frame that was sent then. Bounded: the oldest is forgotten for the newest, and its
//! peer, should it ask again, is told by a reset.

use super::peek::Key;
use super::table::Table;

/// Bytes of a frame with a bare acknowledgement: Ethernet, IPv4 and TCP without options.
pub(super) const ACK_FRAME: usize = 54;
/// How long a peer may ask again, in nanoseconds: twice the longest life of a segment in one building.
const LASTS_NS: u64 = 10_000_000_000;
/// Connections remembered at most.
const MOST: usize = 4096;

struct Entry {
    /// With remote port 0: nobody.
    key: Key,
    until_ns: u64,
    frame: [u8; ACK_FRAME],
}

pub(super) struct Partings {
    table: Table,
    entries: Box<[Entry]>,
    /// The oldest, and the next to be given.
    next: usize,
}

impl Partings {
    pub fn new(connections: usize, secret: u64) -> Self {
        let count = connections.clamp(64, MOST);
        let nobody = || Entry { key: Key::NOBODY, until_ns: 0, frame: [0; ACK_FRAME] };
        Self { table: Table::new(count, secret), entries: (0..count).map(|_| nobody()).collect(), next: 0 }
    }

    /// Remembers how it was left.
    pub fn remember(&mut self, key: Key, frame: [u8; ACK_FRAME], now_ns: u64) {
        self.forget(key);
        let at = self.next;
        self.next = (at + 1) % self.entries.len();
        self.table.remove(self.entries[at].key);
        self.entries[at] = Entry { key, until_ns: now_ns.saturating_add(LASTS_NS), frame };
        self.table.insert(key, at as u32);
    }

    /// What to say to a peer that asks again.
    pub fn recall(&self, key: Key, now_ns: u64) -> Option<&[u8; ACK_FRAME]> {
        let entry = &self.entries[self.table.get(key)? as usize];
        (entry.until_ns > now_ns).then_some(&entry.frame)
    }

    /// The peer begins anew.
    pub fn forget(&mut self, key: Key) {
        if let Some(at) = self.table.get(key) {
            self.table.remove(key);
            self.entries[at as usize].key = Key::NOBODY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(remote_port: u16) -> Key {
        Key { remote: 1, remote_port, local_port: 80 }
    }

    #[test]
    fn the_last_ones_are_remembered_for_a_while() {
        let mut partings = Partings::new(1, 5);
        for port in 1..=100u16 {
            partings.remember(key(port), [port as u8; ACK_FRAME], 0);
        }
        assert_eq!(partings.recall(key(36), 1), None, "64 are kept");
        assert_eq!(partings.recall(key(37), 1), Some(&[37; ACK_FRAME]));
        assert_eq!(partings.recall(key(100), LASTS_NS), None, "ten seconds are over");
        partings.remember(key(50), [7; ACK_FRAME], LASTS_NS);
        assert_eq!(partings.recall(key(50), LASTS_NS), Some(&[7; ACK_FRAME]), "the newest of one peer");
        partings.forget(key(99));
        assert_eq!(partings.recall(key(99), 1), None);
        for port in 200..400u16 {
            partings.remember(key(port), [0; ACK_FRAME], 0);
        }
        assert!((336..400).all(|port| partings.recall(key(port), 1).is_some()));
        assert!((200..336).all(|port| partings.recall(key(port), 1).is_none()));
    }
}
