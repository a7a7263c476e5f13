//! The configuration as records: what the ledger's registry is to hold, and the deposits to make.

use wirebook_matcher::abi::Capabilities;
use wirebook_settlement::ledger::OUTSIDE;
use wirebook_settlement::record::{self, Payload, Registry, Scaled, Transfer};

use super::{Account, Config, Decimal, Deposit, Instrument, Rounding};

/// Ticks above which a band is a wide one.
const NARROW_BAND: u32 = 4096;
/// Accounts times instruments, up to which the permissions that are *not* restricted are listed as well.
const MAX_PERMISSIONS: usize = 1 << 20;

/// What clients may ask of every instrument by OUCH: the matcher must be able to do it.
const OFFERED: Capabilities = Capabilities(
    Capabilities::FILL_OR_KILL.0
        | Capabilities::POST_ONLY.0
        | Capabilities::SELF_TRADE.0
        | Capabilities::REPLACE.0
        | Capabilities::REDUCE.0,
);

impl Config {
    /// Every registry entry and every deposit, in an order in which each finds what it names. Which of them are new, the books know.
    ///
    /// A deposit's id is made of account, asset and amount: the same deposit at every start, so that it is made once.
    pub fn records(&self) -> Vec<Payload<'static>> {
        let mut entries = Vec::new();
        for (id, asset) in (0_u16..).zip(&self.assets) {
            let exponent = -(asset.decimals as i8);
            entries.push(Registry::Asset(record::Asset { id, name: padded(&asset.name), exponent }));
        }
        for (id, instrument) in (0_u16..).zip(&self.instruments) {
            entries.push(Registry::Instrument(instrument.record(id)));
            let (maker_ppm, taker_ppm) = (instrument.maker_ppm, instrument.taker_ppm);
            entries.push(Registry::Fee(record::Fee { instrument: id, maker_ppm, taker_ppm }));
        }
        let list_all = self.accounts.len().saturating_mul(self.instruments.len()) <= MAX_PERMISSIONS;
        for account in &self.accounts {
            entries.push(Registry::Account(account.record()));
            entries.push(Registry::Limits(account.limits()));
            for instrument in 0..self.instruments.len() as u16 {
                let restricted = account.restricted.contains(&instrument);
                if restricted || list_all {
                    let account = account.id;
                    entries.push(Registry::Restrict(record::Restriction { account, instrument, restricted }));
                }
            }
        }
        for session in &self.sessions {
            entries.push(Registry::Session(record::SessionLogin {
                id: session.id,
                account: session.account,
                username: padded(&session.username),
                cancel_on_disconnect: session.cancel_on_disconnect,
            }));
        }
        let deposits = self.accounts.iter().flat_map(|account| {
            account.deposits.iter().map(|deposit| Payload::Transfer(self.deposit(account.id, deposit)))
        });
        entries.into_iter().map(Payload::Registry).chain(deposits).collect()
    }

    fn deposit(&self, account: u32, deposit: &Deposit) -> Transfer {
        let asset = &self.assets[usize::from(deposit.asset)].name;
        let name = format!("wirebook deposit v1\n{account}\n{asset}\n{}", deposit.decimal);
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
        Transfer {
            id: u128::from_le_bytes(id),
            from: OUTSIDE,
            to: account,
            asset: deposit.asset,
            amount: deposit.amount,
        }
    }
}

impl Instrument {
    fn record(&self, id: u16) -> record::Instrument {
        let mut needs = OFFERED;
        if id > 0 {
            needs = needs | Capabilities::MANY_INSTRUMENTS;
        }
        if self.band_ticks > NARROW_BAND {
            needs = needs | Capabilities::WIDE_BANDS;
        }
        record::Instrument {
            id,
            symbol: padded(&self.symbol),
            base: self.base,
            quote: self.quote,
            tick: scaled(&self.tick_size),
            lot: scaled(&self.lot_size),
            multiplier: self.multiplier,
            band_base: self.band_base,
            band_ticks: self.band_ticks,
            rounding: match self.rounding {
                Rounding::Down => record::Rounding::Down,
                Rounding::Up => record::Rounding::Up,
                Rounding::HalfEven => record::Rounding::HalfEven,
            },
            needs: needs.0,
        }
    }
}

impl Account {
    fn record(&self) -> record::Account {
        let (id, owner, self_trade) = (self.id, self.owner, self.self_trade as u8);
        record::Account { id, owner, name: padded(&self.name), self_trade }
    }

    fn limits(&self) -> record::RiskLimits {
        let limits = &self.limits;
        record::RiskLimits {
            account: self.id,
            max_order_qty: limits.max_order_qty,
            max_notional: limits.max_notional,
            max_open_orders: limits.max_open_orders,
            collar_ticks: limits.collar_ticks,
            messages_per_second: limits.messages_per_second,
            duplicates_per_second: limits.duplicates_per_second,
        }
    }
}

/// Checked to fit: `positive` allows no mantissa beyond 64 bits.
fn scaled(decimal: &Decimal) -> Scaled {
    let mantissa = u64::try_from(decimal.mantissa).expect("checked when it was read");
    Scaled { mantissa, exponent: decimal.exponent() }
}

/// Text, padded with spaces. Checked to fit.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}
