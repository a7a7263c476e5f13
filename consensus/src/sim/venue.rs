//! A gateway without clients: a small venue whose records are true, sealed batch after batch; and the lies that only a gateway can tell.
//! The simulator's cluster settles what it seals, and so does the laboratory's.

use wirebook_matcher::Software;
use wirebook_matcher::abi::{Capabilities, Command, Kind, SelfTrade, Side, TimeInForce, abi_hash};
use wirebook_matcher::flow::Random;

use crate::batch::{Batch, Digest32, GENESIS_DIGEST, Header, SigningKey, VerifyingKey};
use crate::ledger::Balance;
use crate::machine::Machine;
use crate::record::{
    Account, Asset, EpochOpen, Fee, Instrument, Order, Origin, Payload, Protocol, Record, Registry, Rounding, Scaled,
    Seal, Seq, SessionLogin, Transfer,
};

/// The shard of every simulation.
pub const SHARD: u16 = 0;
const SLOTS: u32 = 64;
const MAX_QTY: u32 = 100;
const BAND: u32 = 16;
/// Accounts that trade, each with a session of the same number less one; accounts 0 and 1 are the world's and the venue's.
pub(super) const TRADERS: u32 = 4;
pub(super) const FIRST_TRADER: u32 = 2;
const MONEY: i128 = 1_000_000;
/// Bytes of a batch's records, its seal not counted.
const BYTES: (u64, u64) = (400, 4_000);

/// A gateway that seals batches, each a function of the seed and of those before.
pub struct Venue {
    random: Random,
    bytes: (u64, u64),
    machine: Machine<Software>,
    key: SigningKey,
    last_digest: Digest32,
    last_number: u64,
    next_transfer: u128,
}

fn epoch() -> Payload<'static> {
    Payload::Epoch(EpochOpen {
        previous_end: 0,
        previous_digest: [0; 32],
        abi_hash: abi_hash(),
        slots: SLOTS,
        max_qty: MAX_QTY,
        capabilities: Capabilities::ALL.0,
        clean: true,
    })
}

/// Two assets, an instrument with fees, traders with money and with something to sell.
fn opening() -> Vec<Payload<'static>> {
    let mut all = vec![epoch()];
    let registry = |entry| Payload::Registry(entry);
    for id in 0..2 {
        all.push(registry(Registry::Asset(Asset { id, name: [b'a' + id as u8; 8], exponent: 0 })));
    }
    all.push(registry(Registry::Instrument(Instrument {
        id: 0,
        symbol: *b"SIMULATE",
        base: 0,
        quote: 1,
        tick: Scaled { mantissa: 1, exponent: 0 },
        lot: Scaled { mantissa: 1, exponent: 0 },
        multiplier: 1,
        band_base: 100,
        band_ticks: BAND,
        rounding: Rounding::HalfEven,
        needs: 0,
    })));
    all.push(registry(Registry::Fee(Fee { instrument: 0, maker_ppm: -1_000, taker_ppm: 3_000 })));
    for id in FIRST_TRADER..FIRST_TRADER + TRADERS {
        all.push(registry(Registry::Account(Account { id, owner: id as u16, name: [b't'; 16], self_trade: 0 })));
        for asset in 0..2 {
            let transfer =
                Transfer { id: u128::from(id) << 64 | u128::from(asset), from: 0, to: id, asset, amount: MONEY };
            all.push(Payload::Transfer(transfer));
        }
        let login = SessionLogin { id: id - 1, account: id, username: [b's'; 6], cancel_on_disconnect: false };
        all.push(registry(Registry::Session(login)));
    }
    all
}

impl Venue {
    /// A venue with small batches.
    pub fn new(seed: u64) -> Self {
        Self::with_batches_of(seed, BYTES)
    }

    /// A venue whose batches have about so many bytes, at least and at most.
    pub fn with_batches_of(seed: u64, bytes: (u64, u64)) -> Self {
        Self {
            random: Random::new(seed ^ 0x0076_656e_7565),
            bytes,
            machine: Machine::new(SHARD),
            key: SigningKey::from_bytes(&[9; 32]),
            last_digest: GENESIS_DIGEST,
            last_number: 0,
            next_transfer: 1,
        }
    }

    /// What its batches are signed with.
    pub fn public_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Number of the last batch sealed.
    pub fn sealed(&self) -> u64 {
        self.last_number
    }

    /// Fills so far.
    pub fn fills(&self) -> u64 {
        self.machine.books().fills()
    }

    /// What an account has of an asset after the last batch.
    pub fn balance(&self, account: u32, asset: u16) -> Balance {
        self.machine.books().balance(account, asset)
    }

    /// Seals the next batch and goes on from it.
    pub fn seal(&mut self) -> Batch {
        let (header, records) = self.run();
        let batch = self.sign(header, &records);
        self.last_digest = *batch.digest();
        self.last_number = batch.number();
        batch
    }

    /// Two batches with the next number, both true; the first is the one that the venue goes on from.
    pub fn equivocate(&mut self) -> [Batch; 2] {
        let machine = self.machine.clone();
        let (header, records) = self.run();
        let other = self.sign(header, &records);
        self.machine = machine;
        [self.seal(), other]
    }

    /// The next batch, with a root that its records do not lead to. The venue goes on from the true one.
    pub fn lie(&mut self) -> [Batch; 2] {
        let (header, records) = self.run();
        let mut false_root = header.next_root;
        false_root[self.random.below(32) as usize] ^= 1 << self.random.below(8);
        let lie = self.sign(Header { next_root: false_root, ..header }, &records);
        let truth = self.sign(header, &records);
        self.last_digest = *truth.digest();
        self.last_number = truth.number();
        [truth, lie]
    }

    /// Another true batch with the next number, signed by somebody else.
    pub fn forged(&mut self) -> Batch {
        let machine = self.machine.clone();
        let (header, records) = self.run();
        self.machine = machine;
        Batch::seal(header, &records, &SigningKey::from_bytes(&[13; 32])).expect("a well-formed batch")
    }

    fn sign(&self, header: Header, records: &[u8]) -> Batch {
        Batch::seal(header, records, &self.key).expect("a well-formed batch")
    }

    /// Lets things happen, up to a seal.
    fn run(&mut self) -> (Header, Vec<u8>) {
        let previous_root = self.machine.root();
        let first_seq = match self.machine.last_seq() {
            0 => Seq::make(1, 1),
            last => last + 1,
        };
        let mut records = Vec::new();
        if self.last_number == 0 {
            for payload in opening() {
                assert!(self.record(0, payload, &mut records), "the opening applies: {payload:?}");
            }
        }
        let (least, most) = self.bytes;
        let enough = records.len() + self.random.between(least, most) as usize;
        while records.len() < enough {
            let (session, payload) = self.think();
            // What cannot be funded, or names what is not there, does not happen.
            self.record(session, payload, &mut records);
        }
        let run = self.machine.books().seal();
        let seal = Seal { number: run.number + 1, first_seq: run.first_seq, records: run.records + 1 };
        assert!(self.record(0, Payload::Seal(seal), &mut records), "a seal applies");
        let header = Header {
            shard: SHARD,
            number: self.last_number + 1,
            first_seq,
            last_seq: self.machine.last_seq(),
            previous: self.last_digest,
            events: self.machine.event_chain(),
            previous_root,
            next_root: self.machine.root(),
        };
        (header, records)
    }

    /// Applies a record and keeps its bytes, if it applies.
    fn record(&mut self, session: u32, payload: Payload<'_>, out: &mut Vec<u8>) -> bool {
        let books = self.machine.books();
        let seq = if books.last_seq() == 0 { Seq::make(1, 1) } else { books.last_seq() + 1 };
        let payload = match payload {
            Payload::Order(order) => Payload::Order(Order { command: Command { seq, ..order.command }, ..order }),
            other => other,
        };
        let time = books.last_time_ns() + 1 + self.random.below(1_000);
        let record = Record::new(seq, time, session, SHARD, payload);
        let applies = self.machine.apply(&record, &mut ()).is_ok();
        if applies {
            record.encode_into(out);
        }
        applies
    }

    fn think(&mut self) -> (u32, Payload<'static>) {
        let books = self.machine.books();
        if self.random.chance(1, 10) {
            let mut trader = || FIRST_TRADER + self.random.below(u64::from(TRADERS)) as u32;
            let (from, to) = (trader(), trader());
            self.next_transfer += 1;
            let (asset, amount) = (self.random.below(2) as u16, self.random.between(1, 500).into());
            return (0, Payload::Transfer(Transfer { id: self.next_transfer, from, to, asset, amount }));
        }
        let live: Vec<u32> = books.orders().map(|(slot, _)| slot).collect();
        let (origin, protocol, message) = (Origin::Client, Protocol::Ouch50, &b"simulated"[..]);
        if live.len() > SLOTS as usize / 2 || (!live.is_empty() && self.random.chance(1, 4)) {
            let slot = *self.random.pick(&live);
            let order = books.order(slot).expect("it is live");
            let command = Command {
                slot,
                instrument: order.instrument,
                owner: order.owner,
                kind: Kind::Cancel as u8,
                ..Command::default()
            };
            return (order.session, Payload::Order(Order { command, origin, protocol, message }));
        }
        let session = FIRST_TRADER - 1 + self.random.below(u64::from(TRADERS)) as u32;
        let slot = (0..SLOTS).find(|slot| books.order(*slot).is_none()).expect("half of them are free");
        let side = *self.random.pick(&Side::ALL);
        let tif = if self.random.chance(1, 5) { TimeInForce::Ioc } else { TimeInForce::Gtc };
        let command = Command {
            instrument: 0,
            owner: (session + 1) as u16,
            slot,
            tick: self.random.below(u64::from(BAND)) as u32,
            qty: self.random.between(1, u64::from(MAX_QTY)) as u32,
            kind: Kind::New as u8,
            side_tif: Command::side_tif(side, tif),
            flags: Command::flags(SelfTrade::CancelNewest, false, false),
            ..Command::default()
        };
        (session, Payload::Order(Order { command, origin, protocol, message }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::MachineExecutor;
    use crate::validator::executor::Executor;

    #[test]
    fn what_it_seals_is_true_and_trades_and_what_it_lies_is_not() {
        let mut venue = Venue::new(7);
        let mut executor = MachineExecutor::new(SHARD);
        for _ in 0..40 {
            let [batch, other] = if venue.random.chance(1, 3) { venue.equivocate() } else { venue.lie() };
            assert_eq!(executor.execute(&batch).expect("true"), batch.header().next_root);
            assert_eq!((other.number(), other.header().previous), (batch.number(), batch.header().previous));
            assert_ne!(other.digest(), batch.digest());
            let forged = venue.forged();
            assert!(batch.verify_signature(&venue.public_key()).is_ok());
            assert!(forged.verify_signature(&venue.public_key()).is_err());
            assert_eq!(forged.number(), batch.number() + 1);
        }
        assert!(executor.machine().books().fills() > 50, "{}", executor.machine().books().fills());
        executor.machine().books().ledger().check().expect("balanced");
    }
}
