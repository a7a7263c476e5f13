//! Which connection a TCP segment belongs to: a table of addresses and ports with a fixed size.
//!
//! Open addressing with a secret in the hash, so that a peer who chooses its ports cannot make the table slow; deletion moves the
//! followers up, so that it stays fast for ever.

use super::peek::Key;

/// One entry: a key, and the connection's number. Port 0 marks a free place; no TCP connection has it.
#[derive(Clone, Copy)]
struct Entry {
    key: Key,
    slot: u32,
}

const FREE: Entry = Entry { key: Key::NOBODY, slot: 0 };

/// Keys to connection numbers.
pub(super) struct Table {
    entries: Box<[Entry]>,
    mask: usize,
    len: usize,
    secret: u64,
}

impl Table {
    /// For up to `count` connections; at most half full.
    pub fn new(count: usize, secret: u64) -> Self {
        let size = (2 * count).next_power_of_two();
        Self { entries: vec![FREE; size].into_boxed_slice(), mask: size - 1, len: 0, secret: secret | 1 }
    }

    /// Where a key would like to stand.
    fn home(&self, key: Key) -> usize {
        let ports = u64::from(key.remote_port) << 16 | u64::from(key.local_port);
        let mut hash = (u64::from(key.remote) << 32 | ports) ^ self.secret.rotate_left(23);
        // Two rounds: with one, the low bits of a product depend on the low bits of its factors alone.
        hash = (hash ^ (hash >> 29)).wrapping_mul(self.secret);
        hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & self.mask
    }

    #[inline]
    pub fn get(&self, key: Key) -> Option<u32> {
        let mut at = self.home(key);
        loop {
            let entry = &self.entries[at];
            if entry.key.remote_port == 0 {
                return None;
            }
            if entry.key == key {
                return Some(entry.slot);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a key that is not there.
    pub fn insert(&mut self, key: Key, slot: u32) {
        assert!(2 * self.len < self.entries.len() && key.remote_port != 0);
        debug_assert!(self.get(key).is_none());
        let mut at = self.home(key);
        while self.entries[at].key.remote_port != 0 {
            at = (at + 1) & self.mask;
        }
        self.entries[at] = Entry { key, slot };
        self.len += 1;
    }

    /// Takes a key away, if it is there.
    pub fn remove(&mut self, key: Key) {
        if key.remote_port == 0 {
            return;
        }
        let mut at = self.home(key);
        while self.entries[at].key != key {
            if self.entries[at].key.remote_port == 0 {
                return;
            }
            at = (at + 1) & self.mask;
        }
        self.len -= 1;
        let mut next = (at + 1) & self.mask;
        while self.entries[next].key.remote_port != 0 {
            // It may move up unless that is before its home.
            let distance = next.wrapping_sub(self.home(self.entries[next].key)) & self.mask;
            if distance >= (next.wrapping_sub(at) & self.mask) {
                self.entries[at] = self.entries[next];
                at = next;
            }
            next = (next + 1) & self.mask;
        }
        self.entries[at] = FREE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(secret: u64, ops in prop::collection::vec((any::<bool>(), 1u16..40, 0u16..3), 1..300)) {
            let mut table = Table::new(64, secret);
            let mut map = BTreeMap::new();
            for (n, (add, remote_port, local_port)) in ops.into_iter().enumerate() {
                let key = Key { remote: 0x0a00_0001, remote_port, local_port };
                if add && map.len() < 64 && !map.contains_key(&(remote_port, local_port)) {
                    table.insert(key, n as u32);
                    map.insert((remote_port, local_port), n as u32);
                } else if !add {
                    table.remove(key);
                    map.remove(&(remote_port, local_port));
                }
                for port in 1..40 {
                    for local in 0..3 {
                        let key = Key { remote: 0x0a00_0001, remote_port: port, local_port: local };
                        prop_assert_eq!(table.get(key), map.get(&(port, local)).copied());
                    }
                }
            }
        }
    }
}
