//! A connection of a stream port as a [`Sink`]: for the venue's end and for the client's.

use wirebook_bypass::stream::{ConnId, StreamPort};

use super::Sink;

/// Where the packets of one connection go: whole, or not at all. When there is no room, the port is asked to say when there is.
pub struct PortSink<'a, P> {
    port: &'a mut P,
    conn: ConnId,
}

impl<'a, P: StreamPort> PortSink<'a, P> {
    /// The sink of a connection.
    pub fn new(port: &'a mut P, conn: ConnId) -> Self {
        Self { port, conn }
    }
}

impl<P: StreamPort> Sink for PortSink<'_, P> {
    #[inline]
    fn append(&mut self, head: &[u8], body: &[u8]) -> bool {
        if self.port.send_room(self.conn) < head.len() + body.len() {
            self.port.want_room(self.conn);
            return false;
        }
        let taken = self.port.send(self.conn, head) + self.port.send(self.conn, body);
        debug_assert_eq!(taken, head.len() + body.len(), "the port promised the room");
        true
    }
}
