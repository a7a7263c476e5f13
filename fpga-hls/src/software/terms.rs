//! A command's kind and flags as one number of 32 bits: the upper half of the beat's last word.
//!
//! See [`Command::control`](crate::abi::Command). Kind is the lowest byte; one comparison under a mask tells a common command from
//! all others, and the terms of an order stay in one register until they are asked for.

use crate::abi::Command;

pub(super) const SIDE_AT: u32 = 8;
pub(super) const SIDE: u32 = 1 << SIDE_AT;
pub(super) const TIF_AT: u32 = SIDE_AT + 1;
pub(super) const TIME_IN_FORCE: u32 = 0b11 << TIF_AT;
pub(super) const FOK: u32 = 0b10 << TIF_AT;
pub(super) const SELF_TRADE_AT: u32 = 16;
pub(super) const SELF_TRADE: u32 = 0b11 << SELF_TRADE_AT;
pub(super) const POST_ONLY_AT: u32 = 18;
pub(super) const POST_ONLY: u32 = 1 << POST_ONLY_AT;
pub(super) const RELATIVE: u32 = 1 << 19;

const _: () = assert!(
    POST_ONLY >> SELF_TRADE_AT == Command::POST_ONLY as u32 && RELATIVE >> SELF_TRADE_AT == Command::RELATIVE as u32
);
