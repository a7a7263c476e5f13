//! Payloads: what a record says happened.

use wirebook_matcher::abi::{BEAT_BYTES, Command, RING_BIT};

use super::error::{Allowed, RecordError};
use super::header::{MAX_PAYLOAD, RecordKind};
use super::legs::Chain;
use super::registry::Registry;
use super::state::State;
use super::wire::{Reader, byte_enum};

/// Bytes of an order's payload before its message.
const ORDER_HEAD: usize = 40;
/// Bytes of a reject's and of a session record's payload before the message.
const MESSAGE_HEAD: usize = 8;
/// Bytes of a plain transfer's payload.
const TRANSFER_BYTES: usize = 48;

/// Longest client message that every record can carry.
pub const MAX_MESSAGE: usize = MAX_PAYLOAD - ORDER_HEAD;

byte_enum! {
    /// Who asked for a command.
    Origin("origin", "0 to 7") {
        /// The client, by the message in the record.
        Client = 0 => "client",
        /// Cancel on disconnect.
        Disconnect = 1 => "disconnect",
        /// A mass cancel; its session record carries the message.
        MassCancel = 2 => "mass-cancel",
        /// The order's time is over.
        Expiry = 3 => "expiry",
        /// The day is over.
        DayEnd = 4 => "day-end",
        /// A kill switch was thrown.
        KillSwitch = 5 => "kill-switch",
        /// The venue's supervisor.
        Supervisor = 6 => "supervisor",
        /// A cancel that was pending, done now.
        Released = 7 => "released",
    }
}

byte_enum! {
    /// What a client's message is written in.
    Protocol("protocol", "0 or 5") {
        /// There is no message.
        None = 0 => "none",
        /// OUCH 5.0.
        Ouch50 = 5 => "ouch5.0",
    }
}

byte_enum! {
    /// What the client is told of a refused message.
    Answer("answer", "0 to 2") {
        /// OUCH J.
        Rejected = 0 => "rejected",
        /// OUCH P.
        CancelPending = 1 => "cancel-pending",
        /// OUCH I.
        CancelReject = 2 => "cancel-reject",
    }
}

byte_enum! {
    /// What a session did.
    Act("act", "0 to 7") {
        /// Logged in.
        Login = 0 => "login",
        /// Logged out.
        Logout = 1 => "logout",
        /// Was lost.
        Disconnect = 2 => "disconnect",
        /// OUCH Q: asked for the next reference number.
        Query = 3 => "query",
        /// OUCH C: cancels follow, each its own record.
        MassCancel = 4 => "mass-cancel",
        /// OUCH D: takes no more orders.
        Disable = 5 => "disable",
        /// OUCH E: takes orders again.
        Enable = 6 => "enable",
        /// Its live orders are to go because it was lost: cancels follow.
        CancelOnDisconnect = 7 => "cancel-on-disconnect",
    }
}

/// Opens an epoch: the first record of every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochOpen {
    /// The last seq before this epoch; 0 when there is none.
    pub previous_end: u64,
    /// What the host holds of everything before: the journal's last block hash, or zeros.
    pub previous_digest: [u8; 32],
    /// [`wirebook_matcher::abi::abi_hash`].
    pub abi_hash: [u8; 32],
    /// Order slots of the shard's matcher.
    pub slots: u32,
    /// Largest quantity of an order, in lots.
    pub max_qty: u32,
    /// [`wirebook_matcher::abi::Capabilities`] of the shard's matcher, as bits: what its registry may ask for.
    pub capabilities: u32,
    /// Whether the last epoch was shut down in order.
    pub clean: bool,
}

/// A command for the matcher and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// The beat; its seq is the record's.
    pub command: Command,
    /// Who asked for it.
    pub origin: Origin,
    /// What `message` is written in.
    pub protocol: Protocol,
    /// The client's message as it came; empty when the client did not ask.
    pub message: &'a [u8],
}

/// A message that risk refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject<'a> {
    /// What the client is told.
    pub answer: Answer,
    /// The protocol's own reason (OUCH 5.0 section 3.6).
    pub reason: u16,
    /// What `message` is written in.
    pub protocol: Protocol,
    /// The client's message as it came.
    pub message: &'a [u8],
}

/// What a session did or asked that is no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionAct<'a> {
    /// What.
    pub act: Act,
    /// What `message` is written in.
    pub protocol: Protocol,
    /// The client's message as it came; empty when there was none.
    pub message: &'a [u8],
}

/// Moves money from one account to another; with account 0, the outside world, in and out of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Names the transfer: the same id again moves nothing.
    pub id: u128,
    /// Who pays.
    pub from: u32,
    /// Who gets it.
    pub to: u32,
    /// Of what.
    pub asset: u16,
    /// In the asset's smallest unit; above 0.
    pub amount: i128,
}

/// The end of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Number of the batch, from 1.
    pub number: u64,
    /// First record of the batch.
    pub first_seq: u64,
    /// Records of the batch, this one included.
    pub records: u32,
}

/// What a record says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Payload<'a> {
    Epoch(EpochOpen),
    Order(Order<'a>),
    Reject(Reject<'a>),
    Session(SessionAct<'a>),
    Registry(Registry),
    Transfer(Transfer),
    Chain(Chain<'a>),
    State(State),
    Seal(Seal),
}

impl<'a> Payload<'a> {
    /// The header's kind.
    #[inline]
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Epoch(_) => RecordKind::Epoch,
            Self::Order(_) => RecordKind::Order,
            Self::Reject(_) => RecordKind::Reject,
            Self::Session(_) => RecordKind::Session,
            Self::Registry(_) => RecordKind::Registry,
            Self::Transfer(_) | Self::Chain(_) => RecordKind::Transfer,
            Self::State(_) => RecordKind::State,
            Self::Seal(_) => RecordKind::Seal,
        }
    }

    /// The header's length.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Epoch(_) => 88,
            Self::Order(order) => ORDER_HEAD + order.message.len(),
            Self::Reject(reject) => MESSAGE_HEAD + reject.message.len(),
            Self::Session(act) => MESSAGE_HEAD + act.message.len(),
            Self::Registry(registry) => registry.encoded_len(),
            Self::Transfer(_) => TRANSFER_BYTES,
            Self::Chain(chain) => chain.as_bytes().len(),
            Self::State(state) => state.encoded_len(),
            Self::Seal(_) => 24,
        }
    }

    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Epoch(epoch) => epoch.encode_into(out),
            Self::Order(order) => order.encode_into(out),
            Self::Reject(reject) => {
                out.extend_from_slice(&reject.reason.to_le_bytes());
                out.extend_from_slice(&[reject.answer as u8, reject.protocol as u8]);
                out.extend_from_slice(&(reject.message.len() as u16).to_le_bytes());
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(reject.message);
            }
            Self::Session(act) => {
                out.extend_from_slice(&[act.act as u8, act.protocol as u8]);
                out.extend_from_slice(&(act.message.len() as u16).to_le_bytes());
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(act.message);
            }
            Self::Registry(registry) => registry.encode_into(out),
            Self::Transfer(transfer) => {
                out.extend_from_slice(&transfer.id.to_le_bytes());
                out.extend_from_slice(&transfer.amount.to_le_bytes());
                out.extend_from_slice(&transfer.from.to_le_bytes());
                out.extend_from_slice(&transfer.to.to_le_bytes());
                out.extend_from_slice(&transfer.asset.to_le_bytes());
                out.extend_from_slice(&[0; 6]);
            }
            Self::Chain(chain) => out.extend_from_slice(chain.as_bytes()),
            Self::State(state) => state.encode_into(out),
            Self::Seal(seal) => {
                out.extend_from_slice(&seal.number.to_le_bytes());
                out.extend_from_slice(&seal.first_seq.to_le_bytes());
                out.extend_from_slice(&seal.records.to_le_bytes());
                out.extend_from_slice(&[0; 4]);
            }
        }
    }

    pub(super) fn decode(kind: RecordKind, seq: u64, r: &mut Reader<'a>) -> Result<Self, RecordError> {
        Ok(match kind {
            RecordKind::Epoch => Self::Epoch(EpochOpen::decode(r)?),
            RecordKind::Order => Self::Order(Order::decode(seq, r)?),
            RecordKind::Reject => {
                let reason = r.u16("reject reason")?;
                let answer = Answer::read(r)?;
                let protocol = Protocol::read(r)?;
                let length = message_length(protocol, r)?;
                r.zeros("reject reserved", 2)?;
                Self::Reject(Reject { answer, reason, protocol, message: r.slice("message", length)? })
            }
            RecordKind::Session => {
                let act = Act::read(r)?;
                let protocol = Protocol::read(r)?;
                let length = message_length(protocol, r)?;
                r.zeros("session reserved", 4)?;
                Self::Session(SessionAct { act, protocol, message: r.slice("message", length)? })
            }
            RecordKind::Registry => Self::Registry(Registry::decode(r)?),
            RecordKind::Transfer if r.left() != TRANSFER_BYTES => Self::Chain(Chain::decode(r, r.left())?),
            RecordKind::Transfer => {
                let id = r.u128("transfer id")?;
                let amount = r.i128("amount")?;
                let (from, to, asset) = (r.u32("from")?, r.u32("to")?, r.u16("asset")?);
                r.zeros("transfer reserved", 6)?;
                Self::Transfer(Transfer { id, from, to, asset, amount })
            }
            RecordKind::State => Self::State(State::decode(r)?),
            RecordKind::Seal => {
                let (number, first_seq) = (r.u64("seal number")?, r.u64("first_seq")?);
                let records = r.u32("records")?;
                r.zeros("seal reserved", 4)?;
                Self::Seal(Seal { number, first_seq, records })
            }
        })
    }
}

fn message_length(protocol: Protocol, r: &mut Reader<'_>) -> Result<usize, RecordError> {
    let length = r.u16("message length")?;
    if protocol == Protocol::None && length != 0 {
        return Err(r.bad(2, "message length", i128::from(length), Allowed::Exactly(0)));
    }
    Ok(usize::from(length))
}

impl EpochOpen {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.previous_end.to_le_bytes());
        out.extend_from_slice(&self.previous_digest);
        out.extend_from_slice(&self.abi_hash);
        out.extend_from_slice(&self.slots.to_le_bytes());
        out.extend_from_slice(&self.max_qty.to_le_bytes());
        out.extend_from_slice(&self.capabilities.to_le_bytes());
        out.extend_from_slice(&[u8::from(self.clean), 0, 0, 0]);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, RecordError> {
        let previous_end = r.u64("previous_end")?;
        let (previous_digest, abi_hash) = (r.array("previous_digest")?, r.array("abi_hash")?);
        let (slots, max_qty, capabilities) = (r.u32("slots")?, r.u32("max_qty")?, r.u32("capabilities")?);
        let clean = r.flag("clean")?;
        r.zeros("epoch reserved", 3)?;
        Ok(Self { previous_end, previous_digest, abi_hash, slots, max_qty, capabilities, clean })
    }
}

impl<'a> Order<'a> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.command.to_bytes());
        out.extend_from_slice(&[self.origin as u8, self.protocol as u8]);
        out.extend_from_slice(&(self.message.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(self.message);
    }

    fn decode(seq: u64, r: &mut Reader<'a>) -> Result<Self, RecordError> {
        let beat: [u8; BEAT_BYTES] = r.array("command")?;
        let command = Command::from_bytes(&beat);
        if command.seq != seq {
            return Err(r.bad(BEAT_BYTES, "command seq", i128::from(command.seq), Allowed::Exactly(seq)));
        }
        if beat[BEAT_BYTES - 1] & RING_BIT != 0 {
            let found = i128::from(beat[BEAT_BYTES - 1]);
            return Err(r.bad(1, "command ring byte", found, Allowed::Text("the ring bit clear")));
        }
        let origin = Origin::read(r)?;
        let protocol = Protocol::read(r)?;
        let length = message_length(protocol, r)?;
        if origin != Origin::Client && length != 0 {
            return Err(r.bad(2, "message length", length as i128, Allowed::Exactly(0)));
        }
        r.zeros("order reserved", 4)?;
        Ok(Self { command, origin, protocol, message: r.slice("message", length)? })
    }
}
