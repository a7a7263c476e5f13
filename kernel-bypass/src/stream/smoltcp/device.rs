//! One frame in, any frames out: what smoltcp calls a device, for the time of one call.

use super::parting::ACK_FRAME;
use super::peek::bare_ack;
use crate::frame::{ETHERNET_HEADER, ETHERTYPE_IPV4, FrameTx, MAX_FRAME};
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// Whether what TCP wanted to send went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// TCP asked for a place to write a packet to.
    pub offered: bool,
    /// It wrote one. If it was offered a place and did not, it does not know the neighbor's address yet.
    pub sent: bool,
    /// The last bare acknowledgement that was sent, if it was to be kept.
    pub parting: Option<[u8; ACK_FRAME]>,
}

/// A device that holds at most one received frame.
pub(super) struct Device<'a, T> {
    pub frame: Option<&'a [u8]>,
    pub tx: &'a mut T,
    pub max_frame: usize,
    pub verify: bool,
    /// Whether to keep acknowledgements.
    pub keep: bool,
    pub outcome: Outcome,
}

impl<'a, T: FrameTx> Device<'a, T> {
    pub fn new(frame: Option<&'a [u8]>, tx: &'a mut T, max_frame: usize, verify: bool) -> Self {
        Self { frame, tx, max_frame, verify, keep: false, outcome: Outcome::default() }
    }
}

pub(super) struct Rx<'a>(&'a [u8]);

impl phy::RxToken for Rx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(super) struct Tx<'a, T> {
    tx: &'a mut T,
    keep: bool,
    outcome: &'a mut Outcome,
}

impl<T: FrameTx> phy::TxToken for Tx<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        if self.tx.ready() {
            let Self { outcome, keep, .. } = self;
            let written = |frame: &mut [u8]| {
                let result = f(frame);
                outcome.sent |= frame[ETHERNET_HEADER - 2..ETHERNET_HEADER] == ETHERTYPE_IPV4.to_be_bytes();
                if keep && bare_ack(frame, false).is_some() {
                    outcome.parting = (&*frame).try_into().ok();
                }
                result
            };
            return self.tx.transmit(len, written).expect("a port that is ready takes a frame");
        }
        // An answer for which there is no buffer is lost, as on any network; whoever needed it asks again.
        f(&mut [0; MAX_FRAME][..len])
    }
}

impl<T: FrameTx> phy::Device for Device<'_, T> {
    type RxToken<'b>
        = Rx<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Tx<'b, T>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_, T>)> {
        let frame = self.frame.take()?;
        Some((Rx(frame), Tx { tx: self.tx, keep: self.keep, outcome: &mut self.outcome }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_, T>> {
        if !self.tx.ready() {
            return None;
        }
        self.outcome.offered = true;
        Some(Tx { tx: self.tx, keep: self.keep, outcome: &mut self.outcome })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.max_frame;
        if !self.verify {
            capabilities.checksum.ipv4 = Checksum::Tx;
            capabilities.checksum.tcp = Checksum::Tx;
        }
        capabilities
    }
}
