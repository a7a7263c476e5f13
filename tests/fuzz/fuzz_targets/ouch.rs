//! OUCH 5.0 messages from any bytes: total, exact, and the same both ways.
//!
//! The first byte chooses the direction, the rest is the message. What decodes must encode to the same bytes and must not
//! decode with a byte more or less; what does not must say a place within the message. Validation must agree with the raw
//! fields, and name a field that is there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebook::session::ouch::inbound::EnterOrder;
use wirebook::session::ouch::{
    Appendage, AppendageBuilder, Code, DecodeError, Inbound, InvalidField, MAX_BUILT_APPENDAGE, MAX_QUANTITY, Outbound,
};

/// More than any message may have that fits a packet.
const ROOM: usize = 1 << 17;

fuzz_target!(|data: &[u8]| {
    let Some((direction, bytes)) = data.split_first() else { return };
    if direction % 2 == 0 { inbound(bytes) } else { outbound(bytes) }
});

fn inbound(bytes: &[u8]) {
    let message = match Inbound::decode(bytes) {
        Ok(message) => message,
        Err(error) => return told(&error, bytes),
    };
    let mut out = vec![0; ROOM];
    let length = message.encode(&mut out).expect("there is room");
    assert_eq!(&out[..length], bytes, "encoding gives other bytes");
    out[length] = 0;
    let query = bytes[0] == b'Q';
    assert!(query || Inbound::decode(&bytes[..length - 1]).is_err(), "a byte less is a message too");
    assert!(Inbound::decode(&out[..=length]).is_err(), "a byte more is a message too");
    match message {
        Inbound::Enter(order) => {
            options(order.appendage);
            enter(&order);
        }
        Inbound::Replace(order) => {
            options(order.appendage);
            if let Err(error) = order.validate() {
                refused(&error, bytes);
            }
        }
        Inbound::Modify(modify) => {
            let side = modify.validate();
            assert_eq!(side.map(Code::from).ok(), modify.side.get().map(Code::from));
        }
        Inbound::MassCancel(request) => {
            if let Err(error) = request.validate() {
                refused(&error, bytes);
            }
        }
        Inbound::Cancel(_) | Inbound::Query(_) | Inbound::Disable(_) | Inbound::Enable(_) => {}
    }
}

fn enter(order: &EnterOrder<'_>) {
    let valid = match order.validate() {
        Ok(valid) => valid,
        Err(error) => return refused(&error, &[0; EnterOrder::BYTES]),
    };
    assert_eq!(Code::from(valid.side), order.side);
    assert_eq!(Code::from(valid.time_in_force), order.time_in_force);
    assert_eq!((valid.quantity, valid.price, valid.symbol), (order.quantity, order.price, order.symbol));
    assert!((1..=MAX_QUANTITY).contains(&valid.quantity));
    assert!(valid.options.min_qty <= valid.quantity);
    assert!(!(cfg!(feature = "planted") && valid.quantity == 0xBEEF), "planted");
}

fn outbound(bytes: &[u8]) {
    let message = match Outbound::decode(bytes) {
        Ok(message) => message,
        Err(error) => return told(&error, bytes),
    };
    let mut out = vec![0; ROOM];
    let length = message.encode(&mut out).expect("there is room");
    assert_eq!(&out[..length], bytes, "encoding gives other bytes");
    out[length] = 0;
    assert!(Outbound::decode(&bytes[..length - 1]).is_err(), "a byte less is a message too");
    assert!(Outbound::decode(&out[..=length]).is_err(), "a byte more is a message too");
}

/// What is read from options can be built again.
fn options(appendage: Appendage<'_>) {
    let bytes = appendage.as_bytes();
    let mut builder = AppendageBuilder::new();
    let built = appendage.iter().try_for_each(|option| builder.push(option).map(drop));
    match built {
        Ok(()) => assert_eq!(builder.appendage().as_bytes(), bytes),
        Err(_) => assert!(bytes.len() > MAX_BUILT_APPENDAGE),
    }
}

fn told(error: &DecodeError, bytes: &[u8]) {
    assert!(error.offset <= bytes.len(), "{error}: outside of {} bytes", bytes.len());
    assert!(!error.to_string().is_empty());
}

fn refused(error: &InvalidField, bytes: &[u8]) {
    assert!(error.offset <= bytes.len(), "{error}: outside of {} bytes", bytes.len());
    assert!(!error.allowed.is_empty());
}
