//! Random days of a venue: everything that clients and the venue may do, at any lag between entry, books and what entry hears.

use wirebook_matcher::flow::Random;
use wirebook_settlement::record::{
    Act, Action, Chain, HaltMode, Leg, Payload, Registry, Restriction, RiskLimits, State, Transfer,
};

use super::harness::{ACCOUNTS, SESSIONS, SYMBOLS, Venue, options, order, replacement};
use super::{Entry, Verdict};
use crate::session::Alpha;
use crate::session::ouch::inbound::{
    AccountQuery, CancelOrder, DisableOrderEntry, EnableOrderEntry, EnterOrder, Inbound, MassCancel, ModifyOrder,
};
use crate::session::ouch::{Code, Firm, Side, TagValue, TimeInForce};

/// Makes messages that mostly make sense.
pub struct Chaos {
    pub random: Random,
    /// By account: the last number that was sent.
    last: [u32; 5],
    connected: [bool; 5],
    transfers: u128,
    /// Transfers that were done, and that the books would have refused.
    pub moved: u32,
    pub refused: u32,
}

impl Chaos {
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), last: [0; 5], connected: [true; 5], transfers: 0, moved: 0, refused: 0 }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn session(&mut self) -> (u32, usize) {
        let session = SESSIONS[self.below(4) as usize];
        let account = if session == 4 { 2 } else { session + 1 };
        (session, account as usize)
    }

    /// A number that the account may have used, most often lately.
    fn old(&mut self, account: usize) -> u32 {
        let depth = if self.chance(4) { 400 } else { 12 };
        let back = self.below(depth) as u32;
        self.last[account].saturating_sub(back)
    }

    fn number(&mut self, account: usize) -> u32 {
        if self.chance(40) {
            return self.old(account);
        }
        self.last[account] += 1 + self.below(2) as u32;
        self.last[account]
    }

    fn price(&mut self) -> u64 {
        match self.below(60) {
            0 => self.random.next_u64() >> 32,
            1 => 2_000_000_000,
            2 => 890_000 + self.below(300_000),
            _ => (9_990 + self.below(21)) * 100,
        }
    }

    fn quantity(&mut self) -> u32 {
        if self.chance(50) { self.below(1_100_000) as u32 } else { 1 + self.below(90) as u32 }
    }

    fn enter(&mut self, account: usize) -> EnterOrder<'static> {
        let side = [Side::Buy, Side::Buy, Side::Sell, Side::SellShort][self.below(4) as usize];
        let mut order = order(self.number(account), side, self.quantity(), self.price());
        if self.chance(3) {
            order.symbol = Alpha::new(SYMBOLS[1]).expect("short");
        }
        match self.below(14) {
            0 | 1 => order.time_in_force = TimeInForce::Ioc.into(),
            2 => {
                order.time_in_force = TimeInForce::Ioc.into();
                order.appendage = options(&[TagValue::MinQty(order.quantity)]);
            }
            3 => order.appendage = options(&[TagValue::PostOnly(Code::from_raw(b'P'))]),
            4 => {
                order.time_in_force = TimeInForce::Gtt.into();
                order.appendage = options(&[TagValue::ExpireTime(1 + self.below(3) as u32), TagValue::GroupId(3)]);
            }
            5 if self.chance(3) => order.symbol = Alpha::new("NOSUCH").expect("short"),
            6 if self.chance(3) => order.display = Code::from_raw(self.below(256) as u8),
            7 if self.chance(3) => order.side = Code::from_raw(self.below(256) as u8),
            8 => order.appendage = options(&[TagValue::Firm(Firm::new("FIRM").expect("short"))]),
            _ => {}
        }
        order
    }

    /// One message of a client, handed to entry. Answers what entry made of it.
    pub fn message(&mut self, venue: &mut Venue) -> Verdict {
        let (session, message) = self.any();
        venue.say(session, &message)
    }

    /// The next numbers go on above those of an entry that somebody else has used.
    pub fn go_on(&mut self, entry: &Entry) {
        for account in ACCOUNTS {
            self.last[account as usize] = entry.last_ref(account);
        }
    }

    /// A message, and who sends it.
    pub fn any(&mut self) -> (u32, Inbound<'static>) {
        let (session, account) = self.session();
        let message = match self.below(40) {
            0..=19 => Inbound::Enter(self.enter(account)),
            20..=28 => {
                let (old, new) = (self.old(account), self.number(account));
                let mut replace = replacement(old, new, self.quantity(), self.price());
                match self.below(8) {
                    0 => replace.time_in_force = TimeInForce::Ioc.into(),
                    1 => replace.appendage = options(&[TagValue::PostOnly(Code::from_raw(b'P'))]),
                    2 if self.chance(4) => replace.time_in_force = Code::from_raw(b'X'),
                    3 => {
                        replace.time_in_force = TimeInForce::Gtt.into();
                        replace.appendage = options(&[TagValue::ExpireTime(2)]);
                    }
                    _ => {}
                }
                Inbound::Replace(replace)
            }
            29..=33 => {
                let quantity = if self.chance(2) { 0 } else { self.quantity() };
                Inbound::Cancel(CancelOrder { user_ref_num: self.old(account), quantity })
            }
            34..=36 => {
                let side = [Side::Buy, Side::Sell, Side::SellShort, Side::SellShortExempt][self.below(4) as usize];
                let quantity = self.quantity();
                Inbound::Modify(ModifyOrder { user_ref_num: self.old(account), side: side.into(), quantity })
            }
            37 => Inbound::Query(AccountQuery { appendage: None }),
            38 if self.chance(2) => {
                let symbol = [Alpha::BLANK, Alpha::new(SYMBOLS[0]).expect("short")][self.below(2) as usize];
                let side = TagValue::Side(Side::Buy.into());
                let appendage = if self.chance(2) { options(&[side]) } else { options(&[]) };
                Inbound::MassCancel(MassCancel {
                    user_ref_num: self.number(account),
                    firm: Firm::BLANK,
                    symbol,
                    appendage,
                })
            }
            39 if self.chance(8) => Inbound::Disable(DisableOrderEntry {
                user_ref_num: self.number(account),
                firm: Firm::BLANK,
                appendage: options(&[]),
            }),
            _ => Inbound::Enable(EnableOrderEntry {
                user_ref_num: self.number(account),
                firm: Firm::BLANK,
                appendage: options(&[]),
            }),
        };
        (session, message)
    }

    /// Something that the venue does.
    pub fn act(&mut self, venue: &mut Venue) {
        let instrument = self.below(2) as u16;
        let account = ACCOUNTS[self.below(3) as usize];
        match self.below(9) {
            0 => {
                let mode = [HaltMode::Halted, HaltMode::Frozen, HaltMode::Frozen][self.below(3) as usize];
                venue.submit(&Payload::State(State::Halt { instrument, mode }));
                // What was entered before is cancelled now, and impatiently.
                for _ in 0..30 {
                    let (session, account) = self.session();
                    let quantity = if self.chance(3) { self.quantity() } else { 0 };
                    let cancel = CancelOrder { user_ref_num: self.old(account), quantity };
                    for _ in 0..2 {
                        venue.say(session, &Inbound::Cancel(cancel));
                    }
                }
            }
            1 | 2 => {
                for instrument in 0..2 {
                    venue.submit(&Payload::State(State::Halt { instrument, mode: HaltMode::Trading }));
                }
                for account in ACCOUNTS {
                    venue.submit(&Payload::State(State::Kill { account, on: false }));
                }
            }
            3 => {
                venue.submit(&Payload::State(State::Mark { instrument, price_ticks: 9_995 + self.below(10) }));
            }
            4 => {
                let (session, _) = self.session();
                if std::mem::replace(&mut self.connected[session as usize], false) {
                    venue.entry.disconnect(session, Act::Disconnect, venue.now, &mut venue.seq);
                }
            }
            5 => {
                let (session, _) = self.session();
                self.connected[session as usize] = true;
                venue.entry.login(session, venue.now, &mut venue.seq);
            }
            6 => {
                let on = self.chance(2);
                venue.submit(&Payload::State(State::Kill { account, on }));
                if on && !self.chance(8) {
                    venue.submit(&Payload::State(State::Kill { account, on: false }));
                }
            }
            7 => {
                let restricted = self.chance(3);
                venue.submit(&Payload::Registry(Registry::Restrict(Restriction { account, instrument, restricted })));
            }
            _ => {
                let generous = self.chance(2);
                venue.limits(RiskLimits {
                    account,
                    max_order_qty: if generous { 1_000_000 } else { 80 },
                    max_notional: if generous { i128::MAX } else { 8_000_000_000 },
                    max_open_orders: if generous { 500 } else { 20 },
                    collar_ticks: self.below(9) as u32,
                    messages_per_second: if generous { 0 } else { 2_000 },
                    duplicates_per_second: if generous { 0 } else { 500 },
                });
            }
        }
    }

    /// Money moves in steps, as an operator would have it: the books are asked first, with nothing in flight.
    fn transfer(&mut self, venue: &mut Venue) {
        venue.settle();
        venue.entry.timer(venue.now, &mut venue.seq);
        venue.settle();
        let legs: Vec<Leg> = (0..=self.below(3)).map(|_| self.leg(venue)).collect();
        let time_ns = venue.seq.clock(venue.now);
        if venue.books.refuses(time_ns, &legs).is_some() {
            self.refused += 1;
            return;
        }
        let mut bytes = Vec::new();
        match Chain::new(&legs, &mut bytes) {
            Some(chain) => venue.submit(&Payload::Chain(chain)),
            None => venue.submit(&Payload::Transfer(legs[0].transfer)),
        };
        self.moved += 1;
    }

    fn leg(&mut self, venue: &Venue) -> Leg {
        self.transfers += 1;
        let id = self.transfers << 32;
        let pends: Vec<Leg> = venue.books.ledger().pending.iter().copied().collect();
        if !pends.is_empty() && self.chance(2) {
            let pend = pends[self.below(pends.len() as u64) as usize];
            let action = [Action::Post, Action::Void][self.below(2) as usize];
            let less = if action == Action::Post { i128::from(self.below(3)) } else { 0 };
            let transfer = Transfer { id, amount: pend.transfer.amount - less, ..pend.transfer };
            return Leg { action, transfer, pending: pend.transfer.id, expires_ns: 0 };
        }
        let (from, to) = (self.below(5) as u32, self.below(5) as u32);
        let asset = self.below(3) as u16;
        let transfer = Transfer { id, from, to, asset, amount: i128::from(self.below(900_000)) };
        match self.below(3) {
            0 => Leg::book(transfer),
            some => {
                let expires_ns = if some == 1 { 0 } else { venue.now + self.below(2_000_000_000) };
                Leg { action: Action::Pend, transfer, pending: 0, expires_ns }
            }
        }
    }

    /// `steps` steps of a day, checking funds after each.
    pub fn day(&mut self, venue: &mut Venue, steps: usize) {
        for _ in 0..steps {
            self.message(venue);
            if self.chance(60) {
                self.act(venue);
            }
            if self.chance(80) {
                self.transfer(venue);
            }
            venue.now += self.below(3_000_000);
            if self.chance(20) {
                venue.now += self.below(400_000_000);
                venue.entry.timer(venue.now, &mut venue.seq);
            }
            match self.below(6) {
                0 => venue.settle(),
                1 | 2 => venue.carry(self.random.below(4) as usize),
                3 | 4 => venue.hear(self.random.below(9) as usize),
                _ => {}
            }
            venue.check_funds();
        }
        venue.settle();
        venue.check_funds();
    }
}
