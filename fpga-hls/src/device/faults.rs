//! What can go wrong with a device, on purpose: the faults that a [`Model`](super::Model) can be told to have.

use crate::abi::Limits;
use crate::matcher::{Resting, Twin};
use crate::queued::Queued;

/// A fault of a device, its link or its memory. It happens once, at the next beat that it can happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceFault {
    /// It stops, and says nothing.
    Stall,
    /// It resets itself: books, rings and epoch are gone.
    Reset,
    /// It leaves the bus: registers read as all ones.
    Gone,
    /// It stops with the fault flag.
    Flagged,
    /// An event is not written; the next takes its place.
    EventLost,
    /// An event is not written, and its place is left as it was.
    EventSkipped,
    /// An event is written twice.
    EventDoubled,
    /// Only the end of an event is written, from this dword (1 to 7) on: what lies before it is of the lap before.
    EventTorn(u8),
    /// This bit (0 to 255) of an event is wrong; 255 is the phase.
    EventFlipped(u8),
    /// An event comes that nobody asked for.
    EventUnasked,
    /// A command is taken, and not executed.
    CommandLost,
    /// A command is executed twice.
    CommandDoubled,
    /// This bit (0 to 254) of a command is wrong.
    CommandFlipped(u8),
    /// Answers wait for so many of the device's turns.
    Late(u32),
}

/// A matcher whose stored state can be damaged, as a particle damages a RAM: a single-event upset.
pub trait Upset {
    /// Flips one stored bit; `choice` picks which. Says which, or `None` when nothing is stored.
    fn upset(&mut self, choice: u64) -> Option<String>;
}

/// A field of a stored order, and how many of its bits may flip.
const FIELDS: [(&str, u64); 5] = [("leaves", 31), ("tick", 24), ("owner", 16), ("side", 1), ("slot", 28)];

impl<T: Twin> Upset for Queued<T> {
    /// Flips a bit of one stored order, and makes the book anew from what is then stored. A bit that would make the order impossible
    /// to store (a tick beyond the band, a crossed book) is passed over for the next.
    fn upset(&mut self, choice: u64) -> Option<String> {
        let mut orders = Vec::new();
        self.twin().orders(|order| orders.push(order));
        if orders.is_empty() {
            return None;
        }
        let limits = self.twin().limits().clone();
        let total: u64 = FIELDS.iter().map(|(_, bits)| bits).sum();
        let victim = (choice % orders.len() as u64) as usize;
        let first = choice / orders.len() as u64 % total;
        (0..total).find_map(|next| {
            let (field, bit) = field_of((first + next) % total);
            let mut damaged = orders.clone();
            flip(&mut damaged[victim], field, bit);
            let twin = rebuilt::<T>(&limits, &damaged)?;
            *self.twin_mut() = twin;
            Some(format!("bit {bit} of the {} of slot {}", FIELDS[field].0, orders[victim].slot))
        })
    }
}

/// The field and its bit of a bit counted over all fields.
fn field_of(mut bit: u64) -> (usize, u64) {
    for (field, (_, bits)) in FIELDS.iter().enumerate() {
        if bit < *bits {
            return (field, bit);
        }
        bit -= bits;
    }
    (0, 0)
}

fn flip(order: &mut Resting, field: usize, bit: u64) {
    match field {
        0 => order.leaves ^= 1 << bit,
        1 => order.tick ^= 1 << bit,
        2 => order.owner ^= 1 << bit,
        3 => order.side = order.side.opposite(),
        _ => order.slot ^= 1 << bit,
    }
}

fn rebuilt<T: Twin>(limits: &Limits, orders: &[Resting]) -> Option<T> {
    let mut twin = T::new(limits.clone());
    orders.iter().all(|order| twin.restore(order).is_ok()).then_some(twin)
}
