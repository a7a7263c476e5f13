//! What holds for all bytes.

use proptest::prelude::*;

use super::super::inbound::*;
use super::super::outbound::*;
use super::super::*;

const INBOUND: [Layout; 8] = [
    EnterOrder::LAYOUT,
    ReplaceOrder::LAYOUT,
    CancelOrder::LAYOUT,
    ModifyOrder::LAYOUT,
    AccountQuery::LAYOUT,
    MassCancel::LAYOUT,
    DisableOrderEntry::LAYOUT,
    EnableOrderEntry::LAYOUT,
];

const OUTBOUND: [Layout; 17] = [
    SystemEvent::LAYOUT,
    Accepted::LAYOUT,
    Replaced::LAYOUT,
    Canceled::LAYOUT,
    AiqCanceled::LAYOUT,
    Executed::LAYOUT,
    BrokenTrade::LAYOUT,
    Rejected::LAYOUT,
    CancelPending::LAYOUT,
    CancelReject::LAYOUT,
    PriorityUpdate::LAYOUT,
    Modified::LAYOUT,
    Restated::LAYOUT,
    AccountQueryResponse::LAYOUT,
    MassCancelResponse::LAYOUT,
    DisableResponse::LAYOUT,
    EnableResponse::LAYOUT,
];

/// Sound options: known tags with values of their width, and unknown ones.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let option =
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..12), 0..TagValue::KNOWN_TAGS.len(), any::<bool>());
    proptest::collection::vec(option, 0..6).prop_map(|options| {
        let mut bytes = Vec::new();
        for (tag, mut value, known, use_known) in options {
            let tag = if use_known { TagValue::KNOWN_TAGS[known] } else { tag };
            if let Some(width) = TagValue::width(tag) {
                value.resize(width, b'N');
            }
            bytes.extend([u8::try_from(value.len() + 1).unwrap(), tag]);
            bytes.extend(value);
        }
        bytes
    })
}

/// A sound message of one of these layouts: any bytes in its fields, and options if it may have them.
fn message(layouts: &'static [Layout]) -> impl Strategy<Value = Vec<u8>> {
    (0..layouts.len(), proptest::collection::vec(any::<u8>(), 80), options()).prop_map(move |(index, body, options)| {
        let layout = layouts[index];
        let mut bytes = body[..layout.bytes].to_vec();
        bytes[0] = layout.kind;
        if layout.appended {
            let length = u16::try_from(options.len()).unwrap().to_be_bytes();
            bytes[layout.bytes - 2..].copy_from_slice(&length);
            bytes.extend(options);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// A sound message decodes, whatever its values, and encodes to the same bytes; with any byte less or one more it is an error.
    #[test]
    fn inbound_survives_the_round_trip(bytes in message(&INBOUND)) {
        let decoded = Inbound::decode(&bytes).unwrap();
        let mut out = [0; 512];
        let length = decoded.encode(&mut out).unwrap();
        prop_assert_eq!(&out[..length], &bytes[..]);
        for cut in 0..bytes.len() {
            prop_assert!(Inbound::decode(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(Inbound::decode(&longer).is_err());
        if let Inbound::Enter(order) = decoded
            && let Ok(valid) = order.validate()
        {
            prop_assert_eq!(Code::from(valid.side), order.side);
            prop_assert_eq!(valid.quantity, order.quantity);
            prop_assert!((1..=MAX_QUANTITY).contains(&valid.quantity));
        }
    }

    /// The same for the exchange's messages.
    #[test]
    fn outbound_survives_the_round_trip(bytes in message(&OUTBOUND)) {
        let decoded = Outbound::decode(&bytes).unwrap();
        let mut out = [0; 512];
        let length = decoded.encode(&mut out).unwrap();
        prop_assert_eq!(&out[..length], &bytes[..]);
        for cut in 0..bytes.len() {
            prop_assert!(Outbound::decode(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(Outbound::decode(&longer).is_err());
    }

    /// Any bytes are answered, and what decodes encodes to the same bytes.
    #[test]
    fn garbage_is_answered(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), kind in 0..25usize) {
        if let Some(first) = bytes.first_mut() {
            *first = INBOUND.iter().chain(&OUTBOUND).nth(kind).unwrap().kind;
        }
        let mut out = [0; 128];
        if let Ok(decoded) = Inbound::decode(&bytes) {
            let length = decoded.encode(&mut out).unwrap();
            prop_assert_eq!(&out[..length], &bytes[..]);
        }
        if let Ok(decoded) = Outbound::decode(&bytes) {
            let length = decoded.encode(&mut out).unwrap();
            prop_assert_eq!(&out[..length], &bytes[..]);
        }
    }

    /// Options: checking agrees with iterating, and what is read can be built again.
    #[test]
    fn options_survive_the_round_trip(bytes in options()) {
        let appendage = Appendage::new(&bytes).unwrap();
        let mut builder = AppendageBuilder::new();
        for option in appendage {
            builder.push(option).unwrap();
        }
        prop_assert_eq!(builder.appendage().as_bytes(), &bytes[..]);
    }
}
