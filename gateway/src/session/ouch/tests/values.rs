//! Codes, options, faults and validation.

use super::super::inbound::*;
use super::super::*;
use crate::session::Alpha;

fn enter() -> EnterOrder<'static> {
    EnterOrder {
        user_ref_num: 1,
        side: Side::Sell.into(),
        quantity: 100,
        symbol: Alpha(*b"AAPL    "),
        price: Price(1_500_000),
        time_in_force: TimeInForce::Day.into(),
        display: Display::Visible.into(),
        capacity: Capacity::Principal.into(),
        inter_market_sweep_eligibility: YesNo::No.into(),
        cross_type: CrossType::Continuous.into(),
        cl_ord_id: Alpha(*b"CLORD000000001"),
        appendage: Appendage::EMPTY,
    }
}

fn replace() -> ReplaceOrder<'static> {
    ReplaceOrder {
        orig_user_ref_num: 1,
        user_ref_num: 2,
        quantity: 100,
        price: Price(1_500_000),
        time_in_force: TimeInForce::Ioc.into(),
        display: Display::Hidden.into(),
        inter_market_sweep_eligibility: YesNo::Yes.into(),
        cl_ord_id: Alpha(*b"CLORD000000002"),
        appendage: Appendage::EMPTY,
    }
}

fn check_codes<E: Coded + 'static>(all: &[E], bytes: &[u8]) {
    let said: Vec<u8> = all.iter().map(|code| code.to_byte()).collect();
    assert_eq!(said, bytes);
    for byte in 0..=u8::MAX {
        let code = Code::<E>::from_raw(byte);
        assert_eq!(code.raw(), byte);
        assert_eq!(code.get().map(E::to_byte), bytes.contains(&byte).then_some(byte));
    }
}

#[test]
fn codes_are_the_specifications() {
    check_codes(Side::ALL, b"BSTE");
    check_codes(TimeInForce::ALL, b"0356E");
    check_codes(Display::ALL, b"YNAZ");
    check_codes(Capacity::ALL, b"APRO");
    check_codes(YesNo::ALL, b"YN");
    check_codes(CrossType::ALL, b"NOCHSREA");
    check_codes(OrderState::ALL, b"LD");
    check_codes(EventCode::ALL, b"SE");
    check_codes(CancelReason::ALL, b"UITSDQZEFGHKXe");
    check_codes(BrokenTradeReason::ALL, b"ECSX");
    check_codes(RestateReason::ALL, b"RP");
    check_codes(LiquidityFlag::ALL, b"ARJkmNu78eOCMLHKin0j1pqrt");
    check_codes(CustomerType::ALL, b"RN ");
    check_codes(PriceType::ALL, b"LPMRQm");
    check_codes(PostOnly::ALL, b"PN");
    check_codes(HandleInst::ALL, b"IOTQRBD ");
    check_codes(BboWeight::ALL, b"0123SN ");
    assert_eq!(format!("{:?}", Code::<Side>::from_raw(b'x')), "Unknown('x')");
    assert_eq!(format!("{:?}", Code::from(Side::Buy)), "Buy");
}

#[test]
fn reject_reasons_are_numbered_without_gaps() {
    let numbers: Vec<u16> = RejectReason::ALL.iter().map(|&reason| reason as u16).collect();
    assert_eq!(numbers, (1..=0x2A).collect::<Vec<u16>>());
    for number in 0..=0x100 {
        assert_eq!(
            RejectReason::from_u16(number).map(|reason| reason as u16),
            (1..=0x2A).contains(&number).then_some(number)
        );
    }
    assert_eq!(RejectReason::InvalidSymbol as u16, 0x17);
    assert_eq!(RejectReason::RiskDuplicateMessageRate.text(), "risk: duplicate message rate");
    assert_eq!(ReasonCode(0x99).get(), None);
}

#[test]
fn structural_faults_are_told_with_field_and_place() {
    let mut bytes = [0; 64];
    let length = enter().encode(&mut bytes).unwrap();
    let told = |bytes: &[u8]| Inbound::decode(bytes).unwrap_err().to_string();
    assert_eq!(told(&[]), "a client's message, type at offset 0: the message is empty, a type byte is the least");
    assert_eq!(
        told(b"S2345"),
        "a client's message, type at offset 0: found type 'S', allowed are O, U, X, M, Q, C, D, E"
    );
    assert_eq!(told(&bytes[..12]), "Enter Order, symbol at offset 10: found 12 bytes in all, allowed are 47 or more");
    assert_eq!(
        told(&bytes[..46]),
        "Enter Order, appendage length at offset 45: found 46 bytes in all, allowed are 47 or more"
    );
    assert_eq!(
        told(&bytes[..=length]),
        "Enter Order, appendage length at offset 45: found appendage length 0, 1 bytes follow"
    );
    assert_eq!(
        told(b"X123456789"),
        "Cancel Order Request, end at offset 9: found 10 bytes in all, allowed are exactly 9"
    );
    assert_eq!(
        CancelOrder::decode(b"M12345678").unwrap_err().fault,
        Fault::UnknownType { found: b'M', allowed: "the message's own" }
    );
}

#[test]
fn faulty_options_are_told_with_their_place() {
    let cases: [(&[u8], usize, Fault); 6] = [
        (b"\x00", 0, Fault::EmptyOption),
        (b"\x02\x0cP\x00", 3, Fault::EmptyOption),
        (b"\x03\x0cP", 0, Fault::OptionOverrun { found: 3, present: 2 }),
        (b"\x02\x0cP\xff\x63", 3, Fault::OptionOverrun { found: 255, present: 1 }),
        (b"\x03\x0cPP", 0, Fault::OptionWidth { tag: 12, found: 2, needed: 1 }),
        (b"\x02\x0cP\x01\x03", 3, Fault::OptionWidth { tag: 3, found: 0, needed: 4 }),
    ];
    for (options, offset, fault) in cases {
        let error = Appendage::new(options).unwrap_err();
        assert_eq!((error.offset, error.fault), (offset, fault), "{options:02x?}");
        let mut bytes = [0; 64];
        enter().encode(&mut bytes).unwrap();
        bytes[46] = u8::try_from(options.len()).unwrap();
        bytes[47..47 + options.len()].copy_from_slice(options);
        let error = EnterOrder::decode(&bytes[..47 + options.len()]).unwrap_err();
        assert_eq!((error.message, error.offset, error.fault), ("Enter Order", 47 + offset, fault));
    }
    assert!(Appendage::new(&vec![1; 1 << 16]).is_err());
}

#[test]
fn unknown_options_are_skipped_by_their_length() {
    let bytes = b"\x01\x08\x04\xc8abc\x02\x0cP";
    let options: Vec<TagValue<'_>> = Appendage::new(bytes).unwrap().iter().collect();
    let expected = [
        TagValue::Unknown { tag: 8, value: b"" },
        TagValue::Unknown { tag: 200, value: b"abc" },
        TagValue::PostOnly(PostOnly::PostOnly.into()),
    ];
    assert_eq!(options, expected);
    let order = EnterOrder { appendage: Appendage::new(bytes).unwrap(), ..enter() }.validate().unwrap();
    assert_eq!(order.options, Options { post_only: true, ..Options::NONE });
}

#[test]
fn a_builder_refuses_what_it_cannot_say() {
    let mut builder = AppendageBuilder::new();
    builder.push(TagValue::GroupId(7)).unwrap();
    let before = builder.appendage().as_bytes().to_vec();
    assert!(builder.push(TagValue::Unknown { tag: 99, value: &[0; 255] }).is_err(), "more than a length byte says");
    assert!(builder.push(TagValue::Unknown { tag: 12, value: b"PP" }).is_err(), "a known tag of another width");
    assert!(builder.push(TagValue::Unknown { tag: 99, value: &[0; 251] }).is_err(), "more than there is room for");
    assert_eq!(builder.appendage().as_bytes(), before);
    builder.push(TagValue::Unknown { tag: 99, value: &[0; 250] }).unwrap();
    assert_eq!(builder.appendage().as_bytes().len(), MAX_BUILT_APPENDAGE);
}

#[test]
fn every_known_option_fits_a_builder() {
    let mut builder = AppendageBuilder::new();
    for &tag in TagValue::KNOWN_TAGS {
        let value = [b'N'; 8];
        let bytes =
            [&[1 + TagValue::width(tag).unwrap() as u8, tag][..], &value[..TagValue::width(tag).unwrap()]].concat();
        let option = Appendage::new(&bytes).unwrap().iter().next().unwrap();
        assert_eq!(option.tag(), tag);
        builder.push(option).unwrap();
    }
    let widths: Vec<usize> = (0..=255).filter_map(TagValue::width).collect();
    assert_eq!(widths, [8, 4, 4, 1, 4, 1, 4, 8, 1, 4, 1, 4, 4, 4, 1, 1, 1, 4, 8, 2, 1, 4, 1, 1]);
    let tags: Vec<u8> = builder.appendage().iter().map(|option| option.tag()).collect();
    assert_eq!(tags, TagValue::KNOWN_TAGS);
}

#[test]
fn a_sound_order_is_understood() {
    let mut builder = AppendageBuilder::new();
    for option in [
        TagValue::Firm(Alpha(*b"WB01")),
        TagValue::MinQty(10),
        TagValue::CustomerType(CustomerType::Retail.into()),
        TagValue::MaxFloor(50),
        TagValue::PriceType(PriceType::MidpointPeg.into()),
        TagValue::PegOffset(-5),
        TagValue::DiscretionPrice(Price(9)),
        TagValue::DiscretionPriceType(PriceType::PrimaryPeg.into()),
        TagValue::DiscretionPegOffset(-6),
        TagValue::PostOnly(PostOnly::PostOnly.into()),
        TagValue::RandomReserves(3),
        TagValue::Route(Alpha(*b"SCAN")),
        TagValue::ExpireTime(86_399),
        TagValue::TradeNow(YesNo::Yes.into()),
        TagValue::HandleInst(HandleInst::ImbalanceOnly.into()),
        TagValue::GroupId(4),
        TagValue::SharesLocated(YesNo::Yes.into()),
    ] {
        builder.push(option).unwrap();
    }
    let entered = EnterOrder { time_in_force: TimeInForce::Gtt.into(), appendage: builder.appendage(), ..enter() };
    let order = entered.validate().unwrap();
    let options = Options {
        firm: Some(Alpha(*b"WB01")),
        min_qty: 10,
        customer_type: CustomerType::Retail,
        max_floor: 50,
        price_type: PriceType::MidpointPeg,
        peg_offset: -5,
        discretion_price: Price(9),
        discretion_price_type: PriceType::PrimaryPeg,
        discretion_peg_offset: -6,
        post_only: true,
        random_reserves: 3,
        route: Some(Alpha(*b"SCAN")),
        expire_time_seconds: 86_399,
        trade_now: Some(true),
        handle_inst: HandleInst::ImbalanceOnly,
        group_id: 4,
        shares_located: true,
    };
    assert_eq!(order.options, options);
    assert_eq!((order.side, order.quantity, order.price), (Side::Sell, 100, Price(1_500_000)));
    assert_eq!((order.time_in_force, order.display), (TimeInForce::Gtt, Display::Visible));
    assert!(!order.inter_market_sweep);
    let replacement = replace().validate().unwrap();
    assert_eq!((replacement.orig_user_ref_num, replacement.user_ref_num), (1, 2));
    assert_eq!((replacement.time_in_force, replacement.display), (TimeInForce::Ioc, Display::Hidden));
    assert!(replacement.inter_market_sweep);
}

#[test]
fn wrong_values_have_their_reject_reason() {
    use RejectReason::*;
    let case = |order: EnterOrder<'_>, field: &str, offset: usize, reason: RejectReason| {
        let mut bytes = [0; 128];
        let length = order.encode(&mut bytes).unwrap();
        let decoded = EnterOrder::decode(&bytes[..length]).expect("structurally sound");
        assert_eq!(decoded, order, "the raw bytes stay available");
        let error = decoded.validate().unwrap_err();
        assert_eq!((error.field, error.offset, error.reason), (field, offset, reason));
    };
    case(EnterOrder { side: Code::from_raw(b'X'), ..enter() }, "side", 5, InvalidSide);
    case(EnterOrder { quantity: 0, ..enter() }, "quantity", 6, InvalidQuantity);
    case(EnterOrder { quantity: 1_000_000, ..enter() }, "quantity", 6, InvalidQuantity);
    case(EnterOrder { symbol: Alpha::BLANK, ..enter() }, "symbol", 10, InvalidSymbol);
    case(EnterOrder { symbol: Alpha(*b"AA\0     "), ..enter() }, "symbol", 10, InvalidSymbol);
    case(EnterOrder { price: Price(Price::MAX.0 + 1), ..enter() }, "price", 18, InvalidPrice);
    case(EnterOrder { price: Price::MARKET, ..enter() }, "price", 18, InvalidPrice);
    case(
        EnterOrder { price: Price(u64::MAX), cross_type: CrossType::Opening.into(), ..enter() },
        "price",
        18,
        InvalidPrice,
    );
    case(EnterOrder { time_in_force: Code::from_raw(b'1'), ..enter() }, "time_in_force", 26, Other);
    case(EnterOrder { time_in_force: TimeInForce::Gtt.into(), ..enter() }, "ExpireTime option", 47, Other);
    case(EnterOrder { display: Display::Conformant.into(), ..enter() }, "display", 27, InvalidDisplay);
    case(EnterOrder { display: Code::from_raw(0), ..enter() }, "display", 27, InvalidDisplay);
    case(EnterOrder { capacity: Code::from_raw(b' '), ..enter() }, "capacity", 28, Other);
    let sweep = EnterOrder { inter_market_sweep_eligibility: Code::from_raw(b'y'), ..enter() };
    case(sweep, "inter_market_sweep_eligibility", 29, Other);
    case(EnterOrder { cross_type: Code::from_raw(b'n'), ..enter() }, "cross_type", 30, InvalidCrossOrder);
    let text = EnterOrder { side: Code::from_raw(b'X'), ..enter() }.validate().unwrap_err().to_string();
    assert_eq!(text, "Enter Order, side at offset 5: found 'X', allowed: B, S, T, E");
    for market in [Price::MARKET, Price::MARKET_ALTERNATIVE] {
        let order = EnterOrder { price: market, cross_type: CrossType::Opening.into(), ..enter() };
        assert!(order.validate().unwrap().price.is_market());
    }
}

#[test]
fn wrong_options_have_their_reject_reason() {
    use RejectReason::*;
    let post_only = TagValue::PostOnly(PostOnly::No.into());
    let cases: [(&[TagValue<'_>], &str, RejectReason); 12] = [
        (&[TagValue::MinQty(101)], "MinQty option", InvalidMinQuantity),
        (&[TagValue::MaxFloor(1_000_000)], "MaxFloor option", InvalidMaxFloor),
        (&[TagValue::PriceType(Code::from_raw(b'Z'))], "PriceType option", InvalidPegType),
        (&[TagValue::DiscretionPriceType(PriceType::Midpoint.into())], "DiscretionPriceType option", InvalidPegType),
        (&[TagValue::CustomerType(Code::from_raw(b'Z'))], "CustomerType option", Other),
        (&[TagValue::PostOnly(Code::from_raw(b'Y'))], "PostOnly option", Other),
        (&[TagValue::ExpireTime(60)], "ExpireTime option", Other),
        (&[TagValue::TradeNow(Code::from_raw(b'x'))], "TradeNow option", Other),
        (&[TagValue::HandleInst(Code::from_raw(b'x'))], "HandleInst option", Other),
        (&[TagValue::SharesLocated(Code::from_raw(b'x'))], "SharesLocated option", RiskLocateRequired),
        (&[post_only, TagValue::GroupId(1), post_only], "option tag", Other),
        (&[TagValue::DisplayQuantity(1)], "option tag", Other),
    ];
    for (options, field, reason) in cases {
        let mut builder = AppendageBuilder::new();
        for &option in options {
            builder.push(option).unwrap();
        }
        let error = EnterOrder { appendage: builder.appendage(), ..enter() }.validate().unwrap_err();
        assert_eq!((error.field, error.offset, error.reason), (field, 47, reason));
    }
    let mut builder = AppendageBuilder::new();
    builder.push(TagValue::ExpireTime(86_400)).unwrap();
    let day = EnterOrder { time_in_force: TimeInForce::Gtt.into(), appendage: builder.appendage(), ..enter() };
    assert_eq!(day.validate().unwrap_err().field, "ExpireTime option");
    let mut builder = AppendageBuilder::new();
    builder.push(TagValue::Firm(Alpha(*b"WB01"))).unwrap();
    let error = ReplaceOrder { appendage: builder.appendage(), ..replace() }.validate().unwrap_err();
    assert_eq!((error.field, error.found, error.reason), ("option tag", Found::Number(2), Other));
    let mut builder = AppendageBuilder::new();
    builder.push(TagValue::TradeNow(Code::from_raw(b' '))).unwrap();
    let order = EnterOrder { appendage: builder.appendage(), ..enter() }.validate().unwrap();
    assert_eq!(order.options.trade_now, None);
}

#[test]
fn other_requests_are_validated_too() {
    let late = ReplaceOrder { time_in_force: TimeInForce::AfterHours.into(), ..replace() };
    assert_eq!(late.validate().unwrap_err().allowed, "0, 3, 5, 6");
    let none = ReplaceOrder { quantity: 0, ..replace() };
    assert_eq!(none.validate().unwrap_err().reason, RejectReason::InvalidQuantity);
    let modify = ModifyOrder { user_ref_num: 1, side: Side::SellShort.into(), quantity: 0 };
    assert_eq!(modify.validate(), Ok(Side::SellShort));
    let modify = ModifyOrder { side: Code::from_raw(b'b'), ..modify };
    assert_eq!(modify.validate().unwrap_err().reason, RejectReason::InvalidSide);
    let mut builder = AppendageBuilder::new();
    builder.push(TagValue::Side(Side::Buy.into())).unwrap().push(TagValue::GroupId(3)).unwrap();
    let all = MassCancel { user_ref_num: 1, firm: Firm::BLANK, symbol: Symbol::BLANK, appendage: builder.appendage() };
    let scope = MassCancelScope { symbol: None, side: Some(Side::Buy), group_id: Some(3) };
    assert_eq!(all.validate(), Ok(scope));
    let one = MassCancel { symbol: Alpha(*b"AAPL    "), appendage: Appendage::EMPTY, ..all };
    assert_eq!(one.validate().unwrap().symbol, Some(Alpha(*b"AAPL    ")));
    let bad = MassCancel { symbol: Alpha(*b"AAPL\xff   "), ..all };
    assert_eq!(bad.validate().unwrap_err().reason, RejectReason::InvalidSymbol);
}
