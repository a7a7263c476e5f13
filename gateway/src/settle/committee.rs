//! Finality by a committee of validators in other processes: batches are offered to all of them, and what enough of them say is final is.
//!
//! Every batch is offered to each validator, so that whichever leads next has it; each has two connections, one for offers and one that
//! waits for news. A validator that is away is tried again for ever, and settlement goes on without it.
//!
//! With `n` validators up to `f = (n - 1) / 3` may lie. So a height counts once `f + 1` validators have signed it, or more: one of them at
//! least is honest, and an honest one has seen a quorum. A refusal stops settlement once `f + 1` have refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};
use wirebook_settlement::batch::Batch;
use wirebook_settlement::validator::client::Client;
use wirebook_settlement::validator::status::Finalized;
use wirebook_settlement::validator::wire::{Answer, Request, Tip};

use super::{Final, Finality};

/// Batches, and bytes of them, that wait to become final.
const MAX_WAITING: usize = 256;
const MAX_WAITING_BYTES: usize = 64 << 20;
/// How long one wait for news is.
const NEWS: Duration = Duration::from_secs(2);
/// The pause before a validator that is away, full or behind is tried again.
const RETRY: Duration = Duration::from_millis(20);
const RECONNECT: Duration = Duration::from_millis(200);
/// How long a starting gateway waits to hear how far its validators are. It starts without them too, and reads all of its journal then.
const GREETING: Duration = Duration::from_secs(5);

/// A validator: its public key, and where it serves the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidatorAddress {
    /// The key that it votes with.
    pub key: [u8; 32],
    /// Address and port of its `serve`.
    pub address: SocketAddr,
}

/// How many of `n` validators may lie.
pub fn faulty(n: usize) -> usize {
    n.saturating_sub(1) / 3
}

struct State {
    waiting: BTreeMap<u64, Batch>,
    bytes: usize,
    /// What each validator has signed last, if it has been heard.
    tips: Vec<Option<Finalized>>,
    /// What each validator has refused.
    refusals: Vec<Option<String>>,
    finalized: Final,
    fault: Option<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// A validator has said how far it is.
    fn heard(&self, validator: usize, tip: &Tip) {
        let mut state = self.lock();
        let newer = state.tips[validator].is_none_or(|known| known.height <= tip.finalized.height);
        if newer {
            state.tips[validator] = Some(tip.finalized);
        }
        // What `f + 1` have reached, one honest validator has.
        let mut tips: Vec<Finalized> = state.tips.iter().flatten().copied().collect();
        tips.sort_by_key(|tip| std::cmp::Reverse(tip.height));
        let Some(reached) = tips.get(faulty(state.tips.len())).copied() else { return };
        if let Some(ours) = state.waiting.get(&reached.height)
            && *ours.digest() != reached.digest
        {
            let height = reached.height;
            state.fault.get_or_insert(format!("the validators have finalized another batch {height} than was offered"));
        } else if reached.height > state.finalized.height || state.finalized.height == 0 {
            state.finalized = Final { height: reached.height, root: reached.root, last_seq: reached.last_seq };
            let kept = state.waiting.split_off(&(reached.height + 1));
            let gone = std::mem::replace(&mut state.waiting, kept);
            state.bytes -= gone.values().map(|batch| batch.as_bytes().len()).sum::<usize>();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A validator has refused a batch.
    fn refused(&self, validator: usize, number: u64, why: String) {
        warn!(validator, number, "a validator refuses: {why}");
        let mut state = self.lock();
        state.refusals[validator] = Some(why);
        let refusals: Vec<&String> = state.refusals.iter().flatten().collect();
        if refusals.len() > faulty(state.tips.len()) {
            let why = refusals[0].clone();
            state.fault.get_or_insert(why);
        }
    }

    /// Waits until there is something to offer from `next` on; answers it.
    fn next(&self, next: u64) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if self.stopping() {
                return None;
            }
            // A validator that is further behind gets what is missing from its peers.
            if let Some((_, batch)) = state.waiting.range(next..).next() {
                return Some(batch.clone());
            }
            state = self.changed.wait_timeout(state, NEWS).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A committee of validators.
pub struct Committee {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Committee {
    /// Connects to the validators, and waits a little to hear how far they are.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(validators: &[ValidatorAddress], shard: u16) -> std::io::Result<Self> {
        let state = State {
            waiting: BTreeMap::new(),
            bytes: 0,
            tips: vec![None; validators.len()],
            refusals: vec![None; validators.len()],
            finalized: Final::default(),
            fault: None,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), stop: AtomicBool::new(false) });
        let mut committee = Self { shared, threads: Vec::new() };
        for (at, &validator) in validators.iter().enumerate() {
            for (name, run) in
                [("offers", offer_forever as fn(&Shared, usize, ValidatorAddress, u16)), ("news", listen_forever)]
            {
                let shared = committee.shared.clone();
                let thread = std::thread::Builder::new().name(format!("{name}-{at}"));
                committee.threads.push(thread.spawn(move || run(&shared, at, validator, shard))?);
            }
        }
        let deadline = Instant::now() + GREETING;
        let enough = validators.len() - faulty(validators.len());
        while committee.heard() < enough && Instant::now() < deadline {
            std::thread::sleep(RETRY);
        }
        let (heard, finalized) = (committee.heard(), committee.finalized());
        info!(heard, of = validators.len(), height = finalized.height, "validators");
        Ok(committee)
    }

    fn heard(&self) -> usize {
        self.shared.lock().tips.iter().flatten().count()
    }
}

impl Finality for Committee {
    fn offer(&mut self, batch: &Batch) -> Result<bool, String> {
        let mut state = self.shared.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let (number, size) = (batch.number(), batch.as_bytes().len());
        if number <= state.finalized.height || state.waiting.contains_key(&number) {
            return Ok(true);
        }
        if !state.waiting.is_empty() && (state.waiting.len() >= MAX_WAITING || state.bytes + size > MAX_WAITING_BYTES) {
            return Ok(false);
        }
        state.bytes += size;
        state.waiting.insert(number, batch.clone());
        drop(state);
        self.shared.changed.notify_all();
        Ok(true)
    }

    fn finalized(&self) -> Final {
        self.shared.lock().finalized
    }

    fn fault(&self) -> Option<String> {
        self.shared.lock().fault.clone()
    }

    fn shutdown(self: Box<Self>) -> Result<(), String> {
        let fault = self.fault();
        drop(self);
        fault.map_or(Ok(()), Err)
    }
}

impl Drop for Committee {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Connects, for as long as it takes.
fn connect(shared: &Shared, validator: ValidatorAddress, shard: u16) -> Option<Client> {
    let mut told = false;
    while !shared.stopping() {
        match Client::connect(validator.address, shard, Some(&validator.key)) {
            Ok(client) => return Some(client),
            Err(error) => {
                if !told {
                    warn!(address = %validator.address, "a validator is away: {error}");
                    told = true;
                }
                std::thread::sleep(RECONNECT);
            }
        }
    }
    None
}

fn offer_forever(shared: &Shared, at: usize, validator: ValidatorAddress, shard: u16) {
    while let Some(mut client) = connect(shared, validator, shard) {
        shared.heard(at, &client.tip);
        let mut next = client.tip.finalized.height + 1;
        while let Some(batch) = shared.next(next) {
            let number = batch.number();
            match client.ask(&Request::Offer(batch.as_bytes())) {
                Ok(Answer::Taken) => next = number + 1,
                Ok(Answer::Gap(expected)) => {
                    next = expected;
                    std::thread::sleep(RETRY);
                }
                Ok(Answer::Refused(why)) => {
                    shared.refused(at, number, why);
                    std::thread::sleep(RECONNECT);
                }
                Ok(_) => std::thread::sleep(RETRY),
                Err(_) => break,
            }
        }
    }
}

fn listen_forever(shared: &Shared, at: usize, validator: ValidatorAddress, shard: u16) {
    while let Some(mut client) = connect(shared, validator, shard) {
        shared.heard(at, &client.tip);
        while !shared.stopping() {
            let height = client.tip.finalized.height + 1;
            match client.wait(height, NEWS) {
                Ok(tip) => shared.heard(at, &tip),
                Err(_) => {
                    std::thread::sleep(RETRY);
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicUsize;
    use wirebook_settlement::batch::{GENESIS_DIGEST, Header, SigningKey, VerifyingKey};
    use wirebook_settlement::validator::inbox::{Inbox, Taken};
    use wirebook_settlement::validator::service::{Identity, Node, Service};
    use wirebook_settlement::validator::status::{Status, WaitError};

    fn gateway() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    fn batch(number: u64) -> Batch {
        let digest = [number as u8; 32];
        let (previous, events, previous_root, next_root) = (GENESIS_DIGEST, digest, digest, digest);
        let (first_seq, last_seq) = (number * 10, number * 10 + 9);
        let header = Header { shard: 3, number, first_seq, last_seq, previous, events, previous_root, next_root };
        Batch::seal(header, &[1; 100], &gateway()).expect("well formed")
    }

    /// A validator that finalizes whatever it is offered, at once; it remembers what it was offered.
    struct Quick {
        inbox: Inbox,
        status: Arc<Status>,
        seen: Mutex<BTreeSet<u64>>,
        together: Arc<Together>,
    }

    /// Validators that make a batch final once so many of them have it, all at once: whoever were left behind would have no peers to
    /// get it from.
    struct Together {
        needed: AtomicUsize,
        members: Mutex<Vec<Arc<Status>>>,
        have: Mutex<BTreeMap<u64, usize>>,
    }

    impl Together {
        fn new(needed: usize) -> Arc<Self> {
            Arc::new(Self { needed: needed.into(), members: Mutex::default(), have: Mutex::default() })
        }

        fn has(&self, batch: Finalized) {
            let mut have = self.have.lock().expect("nobody panicked");
            let count = have.entry(batch.height).or_default();
            *count += 1;
            if *count == self.needed.load(Ordering::Relaxed) {
                self.members.lock().expect("nobody panicked").iter().for_each(|member| member.publish(batch));
            }
        }
    }

    impl Node for Quick {
        fn offer(&self, batch: Batch) -> Result<(), wirebook_settlement::validator::inbox::OfferError> {
            let number = batch.number();
            if self.inbox.offer(batch.clone())? == Taken::Waits {
                self.seen.lock().expect("nobody panicked").insert(number);
                let (digest, root) = (*batch.digest(), batch.header().next_root);
                self.inbox.settled(number);
                self.together.has(Finalized { height: number, root, digest, last_seq: batch.header().last_seq });
            }
            Ok(())
        }
        fn finalized(&self) -> Finalized {
            self.status.finalized()
        }
        fn wait(&self, height: u64, timeout: Duration) -> Result<Finalized, WaitError> {
            self.status.wait(height, timeout)
        }
        fn batch(&self, number: u64) -> Result<Batch, String> {
            Err(format!("{number} is not kept"))
        }
        fn certified(&self) -> Option<Answer> {
            None
        }
        fn read(&self, _: u32, _: u16, _: Option<[u8; 32]>, _: Duration) -> Result<Vec<u8>, String> {
            Err("it keeps no balances".into())
        }
        fn anchor(&self) -> Result<Vec<u8>, String> {
            Err("it keeps no blocks".into())
        }
        fn snapshot(&self, number: u64, _: u64) -> Result<(u64, u64, Vec<u8>), String> {
            Err(format!("no snapshot {number}"))
        }
        fn timings(&self) -> Vec<(u64, u32)> {
            Vec::new()
        }
        fn fault(&self) -> Option<String> {
            None
        }
        fn metrics(&self) -> String {
            String::new()
        }
    }

    fn validator(at: u8, gateway: VerifyingKey) -> (Arc<Quick>, Service, ValidatorAddress) {
        member(&Together::new(1), at, gateway)
    }

    fn member(together: &Arc<Together>, at: u8, gateway: VerifyingKey) -> (Arc<Quick>, Service, ValidatorAddress) {
        let none = Finalized { height: 0, root: [0; 32], digest: GENESIS_DIGEST, last_seq: 0 };
        let status = Arc::new(Status::new(none));
        together.members.lock().expect("nobody panicked").push(status.clone());
        let quick = Quick { inbox: Inbox::new(0), status, seen: Mutex::default(), together: together.clone() };
        let (quick, key) = (Arc::new(quick), SigningKey::from_bytes(&[at; 32]));
        let address = ValidatorAddress { key: key.verifying_key().to_bytes(), address: ([127, 0, 0, 1], 0).into() };
        let identity = Identity { shard: 3, gateway, key };
        let service = Service::start(address.address, identity, quick.clone()).expect("listens");
        let address = ValidatorAddress { address: service.address(), ..address };
        (quick, service, address)
    }

    fn wait_for(committee: &Committee, height: u64) {
        let begun = Instant::now();
        while committee.finalized().height < height {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", committee.finalized());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn all_have(validators: &[(Arc<Quick>, Service, ValidatorAddress)], last: u64) {
        for (quick, ..) in validators {
            assert_eq!(*quick.seen.lock().expect("nobody panicked"), (1..=last).collect());
        }
    }

    #[test]
    fn every_validator_is_offered_everything_and_two_of_four_make_it_final() {
        let together = Together::new(4);
        let mut validators: Vec<_> = (1..=4).map(|at| member(&together, at, gateway().verifying_key())).collect();
        let addresses: Vec<_> = validators.iter().map(|(.., address)| *address).collect();
        let mut committee = Committee::start(&addresses, 3).expect("threads");
        for number in 1..=20 {
            assert_eq!(committee.offer(&batch(number)), Ok(true));
            assert_eq!(committee.offer(&batch(number)), Ok(true), "offered again");
        }
        wait_for(&committee, 20);
        assert_eq!(committee.finalized().last_seq, 209);
        all_have(&validators, 20);
        // A new gateway hears how far they are, and goes on from there; two of four validators are enough.
        validators.truncate(2);
        together.needed.store(2, Ordering::Relaxed);
        drop(committee);
        let mut committee = Committee::start(&addresses[..2], 3).expect("threads");
        assert_eq!(committee.finalized().height, 20);
        assert_eq!(committee.offer(&batch(21)), Ok(true));
        wait_for(&committee, 21);
        all_have(&validators, 21);
    }

    #[test]
    fn one_of_four_cannot_make_anything_final_nor_stop_it() {
        let liar = validator(1, SigningKey::from_bytes(&[66; 32]).verifying_key());
        let ahead = batch(9);
        let lie = Finalized { height: 9, root: [7; 32], digest: *ahead.digest(), last_seq: 99 };
        liar.0.status.publish(lie);
        let honest: Vec<_> = (2..=4).map(|at| validator(at, gateway().verifying_key())).collect();
        let mut addresses = vec![liar.2];
        addresses.extend(honest.iter().map(|(.., address)| *address));
        let mut committee = Committee::start(&addresses, 3).expect("threads");
        assert_eq!(committee.finalized().height, 0, "one has said 9");
        for number in 1..=9 {
            assert_eq!(committee.offer(&batch(number)), Ok(true));
        }
        wait_for(&committee, 9);
        assert_eq!((committee.finalized().root, committee.fault()), ([9; 32], None));
        drop(committee);
        // Two that refuse are one more than may lie.
        let other = validator(5, SigningKey::from_bytes(&[67; 32]).verifying_key());
        let refusing = [liar.2, other.2, honest[0].2, honest[1].2];
        let mut committee = Committee::start(&refusing, 3).expect("threads");
        committee.offer(&batch(10)).expect("taken");
        let begun = Instant::now();
        while committee.fault().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(committee.offer(&batch(11)).is_err());
    }

    #[test]
    fn whoever_has_another_key_is_not_believed() {
        let (_, _service, address) = validator(1, gateway().verifying_key());
        assert!(Client::connect(address.address, 3, Some(&address.key)).is_ok());
        assert!(Client::connect(address.address, 3, Some(&[8; 32])).is_err());
        assert!(Client::connect(address.address, 4, Some(&address.key)).is_err(), "another shard");
        assert_eq!([1, 2, 3, 4, 6, 7, 10].map(faulty), [0, 0, 0, 1, 1, 2, 3]);
    }
}
