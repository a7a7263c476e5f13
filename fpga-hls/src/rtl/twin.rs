//! The kernel as a twin: one command at a time, with a book that is kept from its own events.

use super::followed::Followed;
use super::{Model, Rtl, RtlError};
use crate::abi::{Capabilities, Command, Event, EventKind, Kind, Limits, SelfTrade, Side, TimeInForce};
use crate::matcher::{Resting, RestoreError, Twin};

/// The Verilated kernel, and the book that its events tell.
///
/// After a fault it answers nothing; [`Twin::failure`] says why.
pub struct RtlTwin {
    kernel: Rtl,
    book: Followed,
    fault: Option<RtlError>,
}

impl RtlTwin {
    /// An empty book in the smallest model that fits.
    ///
    /// # Errors
    /// When none does.
    pub fn fitting(limits: Limits) -> Result<Self, RtlError> {
        let model = Rtl::model_for(&limits)?;
        let book = Followed::new(limits.slots);
        Ok(Self { kernel: Rtl::new(model, limits)?, book, fault: None })
    }

    /// The kernel.
    pub const fn kernel(&self) -> &Rtl {
        &self.kernel
    }

    /// Why it answers no more.
    pub const fn fault(&self) -> Option<&RtlError> {
        self.fault.as_ref()
    }

    fn crosses(&self, order: &Resting) -> bool {
        let opposite = self.book.best(order.instrument, order.side.opposite());
        opposite.is_some_and(|best| match order.side {
            Side::Buy => best <= order.tick,
            Side::Sell => best >= order.tick,
        })
    }
}

impl Twin for RtlTwin {
    /// # Panics
    /// When the limits fit no model: [`RtlTwin::fitting`] says so as an error.
    fn new(limits: Limits) -> Self {
        Self::fitting(limits).unwrap_or_else(|error| panic!("{error}"))
    }

    fn most_slots(ticks: u32) -> Option<u32> {
        let models = Model::ALL.iter().filter(|model| !model.is_planted()).map(|model| model.capacity());
        models.filter(|capacity| capacity.ticks >= ticks).map(|capacity| capacity.orders).max()
    }

    fn offers(limits: &Limits) -> Result<Capabilities, String> {
        Rtl::model_for(limits).map(Model::capabilities).map_err(|error| error.to_string())
    }

    fn failure(&self) -> Option<String> {
        self.fault.as_ref().map(RtlError::to_string)
    }

    fn execute(&mut self, command: &Command, mut sink: impl FnMut(Event)) {
        if self.fault.is_some() {
            return;
        }
        let (book, mut entering, mut wrong) = (&mut self.book, None, None);
        let done = self.kernel.execute(command, |event| {
            if let (None, Err(what)) = (wrong, book.follow(command, &event, &mut entering)) {
                wrong = Some((what, event));
            }
            sink(event);
        });
        self.fault = match (done, wrong) {
            (Err(fault), _) => Some(fault),
            (Ok(()), Some((what, event))) => Some(RtlError::Impossible { what, event, at: self.kernel.cycles() }),
            (Ok(()), None) => None,
        };
    }

    fn limits(&self) -> &Limits {
        use crate::matcher::Matcher;
        self.kernel.limits()
    }

    fn capabilities(&self) -> Capabilities {
        self.kernel.model().capabilities()
    }

    fn order(&self, slot: u32) -> Option<Resting> {
        self.book.order(slot)
    }

    fn orders(&self, sink: impl FnMut(Resting)) {
        self.book.orders().for_each(sink);
    }

    /// The order enters as any other does: the kernel has no other way in.
    fn restore(&mut self, order: &Resting) -> Result<(), RestoreError> {
        let refuse = |reason| Err(RestoreError { slot: order.slot, reason });
        if self.crosses(order) {
            return refuse("it would cross the book");
        }
        let command = Command {
            seq: 0,
            instrument: order.instrument,
            owner: order.owner,
            slot: order.slot,
            tick: order.tick,
            qty: order.leaves,
            kind: Kind::New as u8,
            side_tif: Command::side_tif(order.side, TimeInForce::Gtc),
            flags: Command::flags(SelfTrade::Off, false, false),
            ..Command::default()
        };
        let mut answer = None;
        self.execute(&command, |event| answer = Some(event.kind));
        match answer {
            Some(EventKind::Rested) => Ok(()),
            Some(_) => refuse("the kernel refuses it: the slot is live, or a field is out of range"),
            None => refuse("the kernel does not answer"),
        }
    }
}
