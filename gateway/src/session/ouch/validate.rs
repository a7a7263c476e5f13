//! Whether a sound message says something that OUCH allows, and what that is.
//!
//! The decoder takes any byte in a coded field; here the bytes get their meaning, or the answer to the client gets its reason.
//! Only the protocol's own rules are here. What this venue offers, and what an account may do, is for its risk checks.

use super::appendage::{Appendage, TagValue};
use super::code::{
    Capacity, Code, CrossType, CustomerType, Display, HandleInst, PostOnly, PriceType, Side, TimeInForce, YesNo,
};
use super::error::{Found, InvalidField};
use super::inbound::{EnterOrder, MassCancel, ModifyOrder, ReplaceOrder};
use super::reason::RejectReason;
use super::wire::{Layout, Price};
use super::{ClOrdId, Firm, MAX_QUANTITY, Symbol};
use crate::session::Alpha;

/// Seconds that an order may live, at most: less than a day.
const MAX_EXPIRE_SECONDS: u32 = 86_399;

/// An order that the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The account's number for the order.
    pub user_ref_num: u32,
    /// Buy, or which kind of sell.
    pub side: Side,
    /// Shares, 1 to 999,999.
    pub quantity: u32,
    /// The instrument: printable, not blank.
    pub symbol: Symbol,
    /// A limit up to [`Price::MAX`], or, for a cross, a mark of a market order.
    pub price: Price,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// How it is shown; never conformant.
    pub display: Display,
    /// In what role the firm acts.
    pub capacity: Capacity,
    /// Whether it is an intermarket sweep order.
    pub inter_market_sweep: bool,
    /// The cross it takes part in.
    pub cross_type: CrossType,
    /// The client's own name of the order, as it came.
    pub cl_ord_id: ClOrdId,
    /// The options.
    pub options: Options,
}

/// A replacement that the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The order, or its last replacement.
    pub orig_user_ref_num: u32,
    /// The replacement's own number.
    pub user_ref_num: u32,
    /// Shares that the whole chain may execute, 1 to 999,999.
    pub quantity: u32,
    /// A limit up to [`Price::MAX`], or a mark of a market order: the cross it was entered for is not known here.
    pub price: Price,
    /// How long it lives; never after hours.
    pub time_in_force: TimeInForce,
    /// How it is shown; never conformant.
    pub display: Display,
    /// Whether it is an intermarket sweep order.
    pub inter_market_sweep: bool,
    /// The client's own name of the replacement, as it came.
    pub cl_ord_id: ClOrdId,
    /// The options.
    pub options: Options,
}

/// Which orders a mass cancel names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassCancelScope {
    /// Only in this instrument; `None` for all.
    pub symbol: Option<Symbol>,
    /// Only on this side; `None` for both.
    pub side: Option<Side>,
    /// Only of this group; `None` for all.
    pub group_id: Option<u16>,
}

/// The options of an order, with their defaults where they were not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The firm within the account; `None` for its default.
    pub firm: Option<Firm>,
    /// The least to execute at once, in shares; 0 for any.
    pub min_qty: u32,
    /// Whose order it is.
    pub customer_type: CustomerType,
    /// The part shown, in shares; 0 for all.
    pub max_floor: u32,
    /// What the price follows.
    pub price_type: PriceType,
    /// Added to the price followed; four implied decimals.
    pub peg_offset: i32,
    /// The price to which it may go without showing it; 0 for none.
    pub discretion_price: Price,
    /// What that price follows.
    pub discretion_price_type: PriceType,
    /// Added to the price that the discretion follows; four implied decimals.
    pub discretion_peg_offset: i32,
    /// Whether it may not take liquidity.
    pub post_only: bool,
    /// How far the size of a refreshed part varies, in shares.
    pub random_reserves: u32,
    /// Where it may be routed; `None` for nowhere.
    pub route: Option<Alpha<4>>,
    /// How long it lives, in seconds below a day; 0 unless the time in force is GTT.
    pub expire_time_seconds: u32,
    /// Whether it may trade at once; `None` as the port is set up.
    pub trade_now: Option<bool>,
    /// How it is handled.
    pub handle_inst: HandleInst,
    /// A group of orders, for mass cancel; 0 for none.
    pub group_id: u16,
    /// Whether shares to be sold short are located.
    pub shares_located: bool,
}

impl Options {
    /// No options.
    pub const NONE: Self = Self {
        firm: None,
        min_qty: 0,
        customer_type: CustomerType::PortDefault,
        max_floor: 0,
        price_type: PriceType::Limit,
        peg_offset: 0,
        discretion_price: Price(0),
        discretion_price_type: PriceType::Limit,
        discretion_peg_offset: 0,
        post_only: false,
        random_reserves: 0,
        route: None,
        expire_time_seconds: 0,
        trade_now: None,
        handle_inst: HandleInst::None,
        group_id: 0,
        shares_located: false,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::NONE
    }
}

impl EnterOrder<'_> {
    /// The order, if every field holds what the protocol allows; else the first that does not.
    pub fn validate(&self) -> Result<NewOrder, InvalidField> {
        let layout = &Self::LAYOUT;
        let side = layout.code("side", self.side, RejectReason::InvalidSide)?;
        quantity(layout, self.quantity)?;
        if self.symbol.is_blank() || !self.symbol.is_printable() {
            let found = Found::Text(self.symbol);
            return Err(layout.invalid("symbol", found, "printable ASCII, not blank", RejectReason::InvalidSymbol));
        }
        let cross_type = layout.code("cross_type", self.cross_type, RejectReason::InvalidCrossOrder)?;
        price(layout, self.price, cross_type != CrossType::Continuous)?;
        let time_in_force = layout.code("time_in_force", self.time_in_force, RejectReason::Other)?;
        let order = NewOrder {
            user_ref_num: self.user_ref_num,
            side,
            quantity: self.quantity,
            symbol: self.symbol,
            price: self.price,
            time_in_force,
            display: display(layout, self.display)?,
            capacity: layout.code("capacity", self.capacity, RejectReason::Other)?,
            inter_market_sweep: sweep(layout, self.inter_market_sweep_eligibility)?,
            cross_type,
            cl_ord_id: self.cl_ord_id,
            options: options(layout, self.appendage, ENTER_TAGS)?,
        };
        consistent(layout, &order.options, time_in_force, self.quantity)?;
        Ok(order)
    }
}

impl ReplaceOrder<'_> {
    /// The replacement, if every field holds what the protocol allows; else the first that does not.
    pub fn validate(&self) -> Result<Replacement, InvalidField> {
        let layout = &Self::LAYOUT;
        quantity(layout, self.quantity)?;
        price(layout, self.price, true)?;
        let time_in_force = layout.code("time_in_force", self.time_in_force, RejectReason::Other)?;
        if time_in_force == TimeInForce::AfterHours {
            let found = Found::Byte(self.time_in_force.raw());
            return Err(layout.invalid("time_in_force", found, "0, 3, 5, 6", RejectReason::Other));
        }
        let replacement = Replacement {
            orig_user_ref_num: self.orig_user_ref_num,
            user_ref_num: self.user_ref_num,
            quantity: self.quantity,
            price: self.price,
            time_in_force,
            display: display(layout, self.display)?,
            inter_market_sweep: sweep(layout, self.inter_market_sweep_eligibility)?,
            cl_ord_id: self.cl_ord_id,
            options: options(layout, self.appendage, REPLACE_TAGS)?,
        };
        consistent(layout, &replacement.options, time_in_force, self.quantity)?;
        Ok(replacement)
    }
}

impl ModifyOrder {
    /// The side that the order shall have. Whether it may change to it depends on the side that it has.
    pub fn validate(&self) -> Result<Side, InvalidField> {
        Self::LAYOUT.code("side", self.side, RejectReason::InvalidSide)
    }
}

impl MassCancel<'_> {
    /// Which orders are named.
    pub fn validate(&self) -> Result<MassCancelScope, InvalidField> {
        let layout = &Self::LAYOUT;
        if !self.symbol.is_printable() {
            let found = Found::Text(self.symbol);
            return Err(layout.invalid("symbol", found, "printable ASCII", RejectReason::InvalidSymbol));
        }
        let symbol = Some(self.symbol).filter(|symbol| !symbol.is_blank());
        let mut scope = MassCancelScope { symbol, side: None, group_id: None };
        for option in self.appendage {
            match option {
                TagValue::Side(code) => {
                    scope.side = Some(layout.code("Side option", code, RejectReason::InvalidSide)?)
                }
                TagValue::GroupId(group) => scope.group_id = Some(group),
                _ => {}
            }
        }
        Ok(scope)
    }
}

#[inline(always)]
fn quantity(layout: &Layout, quantity: u32) -> Result<(), InvalidField> {
    if (1..=MAX_QUANTITY).contains(&quantity) {
        return Ok(());
    }
    Err(layout.invalid("quantity", Found::Number(quantity.into()), "1 to 999999", RejectReason::InvalidQuantity))
}

#[inline(always)]
fn price(layout: &Layout, price: Price, may_be_market: bool) -> Result<(), InvalidField> {
    if price <= Price::MAX || may_be_market && price.is_market() {
        return Ok(());
    }
    let allowed = "0 to 1999999900, and for a cross 2000000000 or 2147483647";
    Err(layout.invalid("price", Found::Number(price.0), allowed, RejectReason::InvalidPrice))
}

#[inline(always)]
fn display(layout: &Layout, code: Code<Display>) -> Result<Display, InvalidField> {
    match layout.code("display", code, RejectReason::InvalidDisplay)? {
        Display::Conformant => {
            Err(layout.invalid("display", Found::Byte(code.raw()), "Y, N, A", RejectReason::InvalidDisplay))
        }
        display => Ok(display),
    }
}

#[inline(always)]
fn sweep(layout: &Layout, code: Code<YesNo>) -> Result<bool, InvalidField> {
    let answer = layout.code("inter_market_sweep_eligibility", code, RejectReason::Other)?;
    Ok(answer == YesNo::Yes)
}

/// What depends on more than one field.
#[inline(always)]
fn consistent(
    layout: &Layout,
    options: &Options,
    time_in_force: TimeInForce,
    quantity: u32,
) -> Result<(), InvalidField> {
    let expire = options.expire_time_seconds;
    if expire > MAX_EXPIRE_SECONDS || (time_in_force == TimeInForce::Gtt) != (expire > 0) {
        let allowed = "1 to 86399 with time in force '6', else 0";
        return Err(layout.invalid("ExpireTime option", Found::Number(expire.into()), allowed, RejectReason::Other));
    }
    if options.min_qty > quantity {
        let found = Found::Number(options.min_qty.into());
        return Err(layout.invalid("MinQty option", found, "0 to the quantity", RejectReason::InvalidMinQuantity));
    }
    if options.max_floor > MAX_QUANTITY {
        let found = Found::Number(options.max_floor.into());
        return Err(layout.invalid("MaxFloor option", found, "0 to 999999", RejectReason::InvalidMaxFloor));
    }
    Ok(())
}

/// A set of tags, one bit each.
type Tags = u64;

const fn tags(list: &[u8]) -> Tags {
    let mut set = 0;
    let mut index = 0;
    while index < list.len() {
        set |= 1 << list[index];
        index += 1;
    }
    set
}

const ENTER_TAGS: Tags = tags(&[2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 24, 25, 26, 28]);
const REPLACE_TAGS: Tags = tags(&[3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 24, 25, 28]);
const KNOWN_TAGS: Tags = tags(TagValue::KNOWN_TAGS);

/// Reads the options. An unknown tag is skipped. A known one that the message may not carry, or that comes twice, is refused: the
/// client asks for something that it would not get.
#[inline(always)]
fn options(layout: &Layout, appendage: Appendage<'_>, allowed: Tags) -> Result<Options, InvalidField> {
    let mut options = Options::NONE;
    if !appendage.is_empty() {
        read_options(layout, appendage, allowed, &mut options)?;
    }
    Ok(options)
}

fn read_options(
    layout: &Layout,
    appendage: Appendage<'_>,
    allowed: Tags,
    options: &mut Options,
) -> Result<(), InvalidField> {
    let mut seen: Tags = 0;
    for option in appendage {
        let bit = 1u64.checked_shl(option.tag().into()).unwrap_or(0);
        if KNOWN_TAGS & bit == 0 {
            continue;
        }
        if allowed & bit == 0 || seen & bit != 0 {
            let found = Found::Number(option.tag().into());
            return Err(layout.invalid("option tag", found, "each of the message's tags once", RejectReason::Other));
        }
        seen |= bit;
        apply(layout, options, option)?;
    }
    Ok(())
}

#[inline(always)]
fn apply(layout: &Layout, options: &mut Options, option: TagValue<'_>) -> Result<(), InvalidField> {
    match option {
        TagValue::Firm(firm) => options.firm = Some(firm).filter(|firm| !firm.is_blank()),
        TagValue::MinQty(shares) => options.min_qty = shares,
        TagValue::CustomerType(code) => {
            options.customer_type = layout.code("CustomerType option", code, RejectReason::Other)?;
        }
        TagValue::MaxFloor(shares) => options.max_floor = shares,
        TagValue::PriceType(code) => {
            options.price_type = layout.code("PriceType option", code, RejectReason::InvalidPegType)?;
        }
        TagValue::PegOffset(offset) => options.peg_offset = offset,
        TagValue::DiscretionPrice(price) => options.discretion_price = price,
        TagValue::DiscretionPriceType(code) => {
            let kind = layout.code("DiscretionPriceType option", code, RejectReason::InvalidPegType)?;
            if matches!(kind, PriceType::MarketMakerPeg | PriceType::Midpoint) {
                let (found, reason) = (Found::Byte(code.raw()), RejectReason::InvalidPegType);
                return Err(layout.invalid("DiscretionPriceType option", found, "L, P, M, R", reason));
            }
            options.discretion_price_type = kind;
        }
        TagValue::DiscretionPegOffset(offset) => options.discretion_peg_offset = offset,
        TagValue::PostOnly(code) => {
            let answer = layout.code("PostOnly option", code, RejectReason::Other)?;
            options.post_only = answer == PostOnly::PostOnly;
        }
        TagValue::RandomReserves(shares) => options.random_reserves = shares,
        TagValue::Route(route) => options.route = Some(route).filter(|route| !route.is_blank()),
        TagValue::ExpireTime(seconds) => options.expire_time_seconds = seconds,
        TagValue::TradeNow(code) => options.trade_now = yes_no_or_space(layout, "TradeNow option", code)?,
        TagValue::HandleInst(code) => {
            options.handle_inst = layout.code("HandleInst option", code, RejectReason::Other)?;
        }
        TagValue::GroupId(group) => options.group_id = group,
        TagValue::SharesLocated(code) => {
            let answer = layout.code("SharesLocated option", code, RejectReason::RiskLocateRequired)?;
            options.shares_located = answer == YesNo::Yes;
        }
        // Who located the shares, and which range of numbers is meant, changes nothing here.
        _ => {}
    }
    Ok(())
}

fn yes_no_or_space(layout: &Layout, field: &'static str, code: Code<YesNo>) -> Result<Option<bool>, InvalidField> {
    match (code.get(), code.raw()) {
        (Some(answer), _) => Ok(Some(answer == YesNo::Yes)),
        (None, b' ') => Ok(None),
        (None, raw) => Err(layout.invalid(field, Found::Byte(raw), "Y, N, space", RejectReason::Other)),
    }
}
