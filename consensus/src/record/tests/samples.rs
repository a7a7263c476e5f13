//! Any record that can be written.

use proptest::prelude::*;
use wirebook_matcher::abi::Command;

use super::super::*;

/// A record that owns its message.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    header: (u64, u64, u32, u16),
    payload: Payload<'static>,
    message: Vec<u8>,
    /// Bytes of a chain of transfers, which stands for the payload when there are any.
    chain: Vec<u8>,
}

impl Owned {
    pub(super) fn borrow(&self) -> Record<'_> {
        let (seq, time_ns, session, shard) = self.header;
        let message = self.message.as_slice();
        let payload = match self.payload {
            _ if !self.chain.is_empty() => Payload::Chain(Chain::from_bytes(&self.chain).expect("legs were encoded")),
            Payload::Order(order) => {
                let command = Command { seq, ..order.command };
                let message = if order.origin == Origin::Client { message } else { &[] };
                Payload::Order(Order { command, message: spoken(order.protocol, message), ..order })
            }
            Payload::Reject(r) => Payload::Reject(Reject { message: spoken(r.protocol, message), ..r }),
            Payload::Session(s) => Payload::Session(SessionAct { message: spoken(s.protocol, message), ..s }),
            other => other,
        };
        Record::new(seq, time_ns, session, shard, payload)
    }
}

fn spoken(protocol: Protocol, message: &[u8]) -> &[u8] {
    if protocol == Protocol::None { &[] } else { message }
}

fn one_of<T: Copy + core::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn epoch() -> impl Strategy<Value = Payload<'static>> {
    (any::<u64>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<(u32, u32, u32, bool)>()).prop_map(
        |(previous_end, previous_digest, abi_hash, (slots, max_qty, capabilities, clean))| {
            Payload::Epoch(EpochOpen { previous_end, previous_digest, abi_hash, slots, max_qty, capabilities, clean })
        },
    )
}

fn told() -> impl Strategy<Value = Payload<'static>> {
    let beat = any::<[u8; 32]>().prop_map(|bytes| Command::from_bytes(&bytes));
    let order = (beat, one_of(&Origin::ALL), one_of(&Protocol::ALL))
        .prop_map(|(command, origin, protocol)| Payload::Order(Order { command, origin, protocol, message: &[] }));
    let reject = (one_of(&Answer::ALL), any::<u16>(), one_of(&Protocol::ALL))
        .prop_map(|(answer, reason, protocol)| Payload::Reject(Reject { answer, reason, protocol, message: &[] }));
    let session = (one_of(&Act::ALL), one_of(&Protocol::ALL))
        .prop_map(|(act, protocol)| Payload::Session(SessionAct { act, protocol, message: &[] }));
    prop_oneof![order, reject, session]
}

fn instrument() -> impl Strategy<Value = Registry> {
    let scaled = || any::<(u64, i8)>().prop_map(|(mantissa, exponent)| Scaled { mantissa, exponent });
    let numbers = any::<(u16, [u8; 8], u16, u16, u32, u64, u32, u32)>();
    (numbers, scaled(), scaled(), one_of(&Rounding::ALL)).prop_map(|(n, tick, lot, rounding)| {
        let (id, symbol, base, quote, multiplier, band_base, band_ticks, needs) = n;
        Registry::Instrument(Instrument {
            id,
            symbol,
            base,
            quote,
            tick,
            lot,
            multiplier,
            band_base,
            band_ticks,
            rounding,
            needs,
        })
    })
}

fn registry() -> impl Strategy<Value = Payload<'static>> {
    let entry =
        prop_oneof![
        any::<(u16, [u8; 8], i8)>().prop_map(|(id, name, exponent)| Registry::Asset(Asset { id, name, exponent })),
        instrument(),
        (any::<(u32, u16, [u8; 16])>(), 0u8..4)
            .prop_map(|((id, owner, name), self_trade)| { Registry::Account(Account { id, owner, name, self_trade }) }),
        any::<(u32, u32, [u8; 6], bool)>().prop_map(|(id, account, username, cancel_on_disconnect)| {
            Registry::Session(SessionLogin { id, account, username, cancel_on_disconnect })
        }),
        (any::<(u32, u32, u32, u32, u32, u32)>(), 0..=i128::MAX).prop_map(|(n, max_notional)| {
            let (account, max_order_qty, max_open_orders, collar_ticks, messages_per_second, duplicates_per_second) = n;
            Registry::Limits(RiskLimits {
                account,
                max_order_qty,
                max_notional,
                max_open_orders,
                collar_ticks,
                messages_per_second,
                duplicates_per_second,
            })
        }),
        any::<(u16, i32, i32)>()
            .prop_map(|(instrument, maker_ppm, taker_ppm)| { Registry::Fee(Fee { instrument, maker_ppm, taker_ppm }) }),
        any::<(u32, u16, bool)>().prop_map(|(account, instrument, restricted)| {
            Registry::Restrict(Restriction { account, instrument, restricted })
        }),
        (any::<(u32, u16)>(), 0..=i128::MAX)
            .prop_map(|((account, asset), most)| Registry::Ceiling(Ceiling { account, asset, most })),
    ];
    entry.prop_map(Payload::Registry)
}

fn venue() -> impl Strategy<Value = Payload<'static>> {
    let state = prop_oneof![
        (any::<(u32, [u8; 10])>(), one_of(&DayPhase::ALL)).prop_map(|((date, session_name), phase)| State::Day {
            date,
            phase,
            session_name
        }),
        (any::<u16>(), one_of(&HaltMode::ALL)).prop_map(|(instrument, mode)| State::Halt { instrument, mode }),
        any::<(u16, u64)>().prop_map(|(instrument, price_ticks)| State::Mark { instrument, price_ticks }),
        any::<(u32, bool)>().prop_map(|(account, on)| State::Kill { account, on }),
    ];
    prop_oneof![
        any::<(u128, u32, u32, u16, i128)>().prop_map(|(id, from, to, asset, amount)| Payload::Transfer(Transfer {
            id,
            from,
            to,
            asset,
            amount
        })),
        state.prop_map(Payload::State),
        any::<(u64, u64, u32)>().prop_map(|(number, first_seq, records)| Payload::Seal(Seal {
            number,
            first_seq,
            records
        })),
    ]
}

/// Bytes of a chain: none, mostly.
fn chain() -> impl Strategy<Value = Vec<u8>> {
    let leg = (one_of(&Action::ALL), any::<(u128, u32, u32, u16, i128)>(), any::<(u128, u64)>()).prop_map(
        |(action, (id, from, to, asset, amount), (pending, expires_ns))| {
            let transfer = Transfer { id, from, to, asset, amount };
            Leg { action, transfer, pending, expires_ns }
        },
    );
    let legs = prop::collection::vec(leg, 1..=MAX_LEGS).prop_map(|legs| {
        let mut bytes = Vec::new();
        let made = Chain::new(&legs, &mut bytes).is_some();
        if made { bytes } else { Vec::new() }
    });
    prop_oneof![4 => Just(Vec::new()), 1 => legs]
}

pub(super) fn any_record() -> impl Strategy<Value = Owned> {
    let header = (1..=u16::MAX, 1..=Seq::MAX_COUNTER, any::<(u64, u32, u16)>())
        .prop_map(|(epoch, counter, (time, session, shard))| (Seq::make(epoch, counter), time, session, shard));
    let message = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        prop::collection::vec(any::<u8>(), MAX_MESSAGE - 9..=MAX_MESSAGE)
    ];
    let payload = prop_oneof![epoch(), told(), registry(), venue()];
    (header, payload, message, chain()).prop_map(|(header, payload, message, chain)| Owned {
        header,
        payload,
        message,
        chain,
    })
}
