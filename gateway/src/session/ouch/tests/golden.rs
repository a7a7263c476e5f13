//! Every message's bytes, written out by hand from the specification's tables.

use super::super::inbound::*;
use super::super::outbound::*;
use super::super::*;
use crate::session::Alpha;

/// Bytes from hexadecimal digits; spaces do not count.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

const AAPL: Symbol = Alpha(*b"AAPL    ");
const ORDER: ClOrdId = Alpha(*b"CLORD000000001");
const FIRM: Firm = Alpha(*b"WB01");
const TIME: u64 = 0x0000_1F1E_1D1C_1B1A;

/// The order of the specification's vector, without its options.
fn enter() -> EnterOrder<'static> {
    EnterOrder {
        user_ref_num: 1,
        side: Side::Buy.into(),
        quantity: 100,
        symbol: AAPL,
        price: Price(1_500_000),
        time_in_force: TimeInForce::Day.into(),
        display: Display::Visible.into(),
        capacity: Capacity::Principal.into(),
        inter_market_sweep_eligibility: YesNo::No.into(),
        cross_type: CrossType::Continuous.into(),
        cl_ord_id: ORDER,
        appendage: Appendage::EMPTY,
    }
}

fn check_inbound(message: Inbound<'_>, golden: &str) {
    let bytes = hex(golden);
    assert_eq!(Inbound::decode(&bytes), Ok(message));
    let mut out = vec![0xEE; bytes.len() + 1];
    assert_eq!(message.encode(&mut out), Ok(bytes.len()));
    assert_eq!(out[..bytes.len()], bytes, "{message:?}");
    assert_eq!(out[bytes.len()], 0xEE, "written beyond the message");
    let room = bytes.len() - 1;
    assert_eq!(message.encode(&mut out[..room]), Err(NoRoom { needed: bytes.len(), room }));
}

fn check_outbound(message: Outbound<'_>, golden: &str) {
    let bytes = hex(golden);
    assert_eq!(Outbound::decode(&bytes), Ok(message));
    let mut out = vec![0xEE; bytes.len() + 1];
    assert_eq!(message.encode(&mut out), Ok(bytes.len()));
    assert_eq!(out[..bytes.len()], bytes, "{message:?}");
    assert_eq!(out[bytes.len()], 0xEE, "written beyond the message");
    let room = bytes.len() - 1;
    assert_eq!(message.encode(&mut out[..room]), Err(NoRoom { needed: bytes.len(), room }));
}

#[test]
fn enter_order_has_the_specifications_vector() {
    let mut builder = AppendageBuilder::new();
    builder.push(TagValue::MinQty(0)).unwrap().push(TagValue::PostOnly(PostOnly::PostOnly.into())).unwrap();
    let golden = "4f 00000001 42 00000064 4141504c20202020 000000000016e360 30 59 50 4e 4e
                  434c4f5244303030303030303031 0009 05 03 00000000 02 0c 50";
    assert_eq!(hex(golden).len(), 56);
    check_inbound(Inbound::Enter(EnterOrder { appendage: builder.appendage(), ..enter() }), golden);
    let bare = "4f 00000001 42 00000064 4141504c20202020 000000000016e360 30 59 50 4e 4e
                434c4f5244303030303030303031 0000";
    check_inbound(Inbound::Enter(enter()), bare);
}

#[test]
fn inbound_messages_have_their_golden_bytes() {
    check_inbound(
        Inbound::Replace(ReplaceOrder {
            orig_user_ref_num: 0x01020304,
            user_ref_num: 0x05060708,
            quantity: 999_999,
            price: Price::MAX,
            time_in_force: TimeInForce::Ioc.into(),
            display: Display::Hidden.into(),
            inter_market_sweep_eligibility: YesNo::Yes.into(),
            cl_ord_id: ORDER,
            appendage: Appendage::EMPTY,
        }),
        "55 01020304 05060708 000f423f 000000007735939c 33 4e 59 434c4f5244303030303030303031 0000",
    );
    check_inbound(Inbound::Cancel(CancelOrder { user_ref_num: 7, quantity: 0x10 }), "58 00000007 00000010");
    check_inbound(
        Inbound::Modify(ModifyOrder { user_ref_num: 7, side: Side::SellShort.into(), quantity: 0x10 }),
        "4d 00000007 54 00000010",
    );
    check_inbound(Inbound::Query(AccountQuery { appendage: None }), "51");
    check_inbound(Inbound::Query(AccountQuery { appendage: Some(Appendage::EMPTY) }), "51 0000");
    let mut index = AppendageBuilder::new();
    index.push(TagValue::UserRefIdx(2)).unwrap();
    check_inbound(Inbound::Query(AccountQuery { appendage: Some(index.appendage()) }), "51 0003 02 1c 02");
    let mut side = AppendageBuilder::new();
    side.push(TagValue::Side(Side::Sell.into())).unwrap().push(TagValue::GroupId(0x0102)).unwrap();
    check_inbound(
        Inbound::MassCancel(MassCancel { user_ref_num: 9, firm: FIRM, symbol: AAPL, appendage: side.appendage() }),
        "43 00000009 57423031 4141504c20202020 0007 02 1b 53 03 18 0102",
    );
    check_inbound(
        Inbound::Disable(DisableOrderEntry { user_ref_num: 9, firm: FIRM, appendage: Appendage::EMPTY }),
        "44 00000009 57423031 0000",
    );
    check_inbound(
        Inbound::Enable(EnableOrderEntry { user_ref_num: 9, firm: FIRM, appendage: index.appendage() }),
        "45 00000009 57423031 0003 02 1c 02",
    );
}

#[test]
fn accepted_and_replaced_have_their_golden_bytes() {
    let mut weight = AppendageBuilder::new();
    weight.push(TagValue::BboWeight(BboWeight::Sets.into())).unwrap();
    check_outbound(
        Outbound::Accepted(Accepted {
            timestamp: TIME,
            user_ref_num: 1,
            side: Side::Sell.into(),
            quantity: 100,
            symbol: AAPL,
            price: Price(1_500_000),
            time_in_force: TimeInForce::Gtt.into(),
            display: Display::Conformant.into(),
            order_reference_number: 0x1122_3344_5566_7788,
            capacity: Capacity::Agency.into(),
            inter_market_sweep_eligibility: YesNo::No.into(),
            cross_type: CrossType::Closing.into(),
            order_state: OrderState::Dead.into(),
            cl_ord_id: ORDER,
            appendage: weight.appendage(),
        }),
        "41 00001f1e1d1c1b1a 00000001 53 00000064 4141504c20202020 000000000016e360 36 5a 1122334455667788
         41 4e 43 44 434c4f5244303030303030303031 0003 02 12 53",
    );
    check_outbound(
        Outbound::Replaced(Replaced {
            timestamp: TIME,
            orig_user_ref_num: 1,
            user_ref_num: 2,
            side: Side::SellShortExempt.into(),
            quantity: 100,
            symbol: AAPL,
            price: Price(1_500_000),
            time_in_force: TimeInForce::Gtx.into(),
            display: Display::Attributable.into(),
            order_reference_number: 0x1122_3344_5566_7788,
            capacity: Capacity::Riskless.into(),
            inter_market_sweep_eligibility: YesNo::Yes.into(),
            cross_type: CrossType::Opening.into(),
            order_state: OrderState::Live.into(),
            cl_ord_id: ORDER,
            appendage: Appendage::EMPTY,
        }),
        "55 00001f1e1d1c1b1a 00000001 00000002 45 00000064 4141504c20202020 000000000016e360 35 41
         1122334455667788 52 59 4f 4c 434c4f5244303030303030303031 0000",
    );
}

#[test]
fn what_happens_to_orders_has_its_golden_bytes() {
    check_outbound(
        Outbound::Canceled(Canceled {
            timestamp: TIME,
            user_ref_num: 3,
            quantity: 50,
            reason: CancelReason::ImmediateOrCancel.into(),
        }),
        "43 00001f1e1d1c1b1a 00000003 00000032 49",
    );
    check_outbound(
        Outbound::AiqCanceled(AiqCanceled {
            timestamp: TIME,
            user_ref_num: 3,
            decrement_shares: 50,
            reason: CancelReason::SelfMatchPrevention.into(),
            quantity_prevented_from_trading: 49,
            execution_price: Price(0x0102_0304_0506_0708),
            liquidity_flag: LiquidityFlag::Removed.into(),
            aiq_strategy: b'O',
        }),
        "44 00001f1e1d1c1b1a 00000003 00000032 51 00000031 0102030405060708 52 4f",
    );
    check_outbound(
        Outbound::Executed(Executed {
            timestamp: TIME,
            user_ref_num: 3,
            quantity: 50,
            price: Price(1_500_000),
            liquidity_flag: LiquidityFlag::Added.into(),
            match_number: 0x99,
            appendage: Appendage::EMPTY,
        }),
        "45 00001f1e1d1c1b1a 00000003 00000032 000000000016e360 41 0000000000000099 0000",
    );
    check_outbound(
        Outbound::BrokenTrade(BrokenTrade {
            timestamp: TIME,
            user_ref_num: 3,
            match_number: 0x99,
            reason: BrokenTradeReason::Consent.into(),
            cl_ord_id: ORDER,
        }),
        "42 00001f1e1d1c1b1a 00000003 0000000000000099 43 434c4f5244303030303030303031",
    );
    check_outbound(
        Outbound::PriorityUpdate(PriorityUpdate {
            timestamp: TIME,
            user_ref_num: 3,
            price: Price(1_500_000),
            display: Display::Visible.into(),
            order_reference_number: 0x77,
        }),
        "54 00001f1e1d1c1b1a 00000003 000000000016e360 59 0000000000000077",
    );
    check_outbound(
        Outbound::Modified(Modified { timestamp: TIME, user_ref_num: 3, side: Side::SellShort.into(), quantity: 1 }),
        "4d 00001f1e1d1c1b1a 00000003 54 00000001",
    );
    let mut shown = AppendageBuilder::new();
    shown.push(TagValue::DisplayQuantity(5)).unwrap().push(TagValue::SecondaryOrdRefNum(6)).unwrap();
    check_outbound(
        Outbound::Restated(Restated {
            timestamp: TIME,
            user_ref_num: 3,
            reason: RestateReason::Refreshed.into(),
            appendage: shown.appendage(),
        }),
        "52 00001f1e1d1c1b1a 00000003 52 0010 05 16 00000005 09 01 0000000000000006",
    );
}

#[test]
fn other_answers_have_their_golden_bytes() {
    check_outbound(
        Outbound::SystemEvent(SystemEvent { timestamp: TIME, event_code: EventCode::StartOfDay.into() }),
        "53 00001f1e1d1c1b1a 53",
    );
    check_outbound(
        Outbound::Rejected(Rejected {
            timestamp: TIME,
            user_ref_num: 3,
            reason: RejectReason::RiskLocateRequired.into(),
            cl_ord_id: ORDER,
        }),
        "4a 00001f1e1d1c1b1a 00000003 0027 434c4f5244303030303030303031",
    );
    check_outbound(
        Outbound::CancelPending(CancelPending { timestamp: TIME, user_ref_num: 3 }),
        "50 00001f1e1d1c1b1a 00000003",
    );
    check_outbound(
        Outbound::CancelReject(CancelReject { timestamp: TIME, user_ref_num: 3 }),
        "49 00001f1e1d1c1b1a 00000003",
    );
    check_outbound(
        Outbound::AccountQueryResponse(AccountQueryResponse { timestamp: TIME, next_user_ref_num: 0x0a0b0c0d }),
        "51 00001f1e1d1c1b1a 0a0b0c0d",
    );
    check_outbound(
        Outbound::MassCancelResponse(MassCancelResponse {
            timestamp: TIME,
            user_ref_num: 3,
            firm: FIRM,
            symbol: Symbol::BLANK,
            appendage: Appendage::EMPTY,
        }),
        "58 00001f1e1d1c1b1a 00000003 57423031 2020202020202020 0000",
    );
    check_outbound(
        Outbound::DisableResponse(DisableResponse {
            timestamp: TIME,
            user_ref_num: 3,
            firm: FIRM,
            appendage: Appendage::EMPTY,
        }),
        "47 00001f1e1d1c1b1a 00000003 57423031 0000",
    );
    check_outbound(
        Outbound::EnableResponse(EnableResponse {
            timestamp: TIME,
            user_ref_num: 3,
            firm: FIRM,
            appendage: Appendage::EMPTY,
        }),
        "4b 00001f1e1d1c1b1a 00000003 57423031 0000",
    );
}

#[test]
fn messages_have_the_specifications_lengths() {
    let inbound = [
        (EnterOrder::LAYOUT, 'O', 47, true),
        (ReplaceOrder::LAYOUT, 'U', 40, true),
        (CancelOrder::LAYOUT, 'X', 9, false),
        (ModifyOrder::LAYOUT, 'M', 10, false),
        (AccountQuery::LAYOUT, 'Q', 1, false),
        (MassCancel::LAYOUT, 'C', 19, true),
        (DisableOrderEntry::LAYOUT, 'D', 11, true),
        (EnableOrderEntry::LAYOUT, 'E', 11, true),
    ];
    let outbound = [
        (SystemEvent::LAYOUT, 'S', 10, false),
        (Accepted::LAYOUT, 'A', 64, true),
        (Replaced::LAYOUT, 'U', 68, true),
        (Canceled::LAYOUT, 'C', 18, false),
        (AiqCanceled::LAYOUT, 'D', 32, false),
        (Executed::LAYOUT, 'E', 36, true),
        (BrokenTrade::LAYOUT, 'B', 36, false),
        (Rejected::LAYOUT, 'J', 29, false),
        (CancelPending::LAYOUT, 'P', 13, false),
        (CancelReject::LAYOUT, 'I', 13, false),
        (PriorityUpdate::LAYOUT, 'T', 30, false),
        (Modified::LAYOUT, 'M', 18, false),
        (Restated::LAYOUT, 'R', 16, true),
        (AccountQueryResponse::LAYOUT, 'Q', 13, false),
        (MassCancelResponse::LAYOUT, 'X', 27, true),
        (DisableResponse::LAYOUT, 'G', 19, true),
        (EnableResponse::LAYOUT, 'K', 19, true),
    ];
    for (layout, kind, bytes, appended) in inbound.into_iter().chain(outbound) {
        assert_eq!((char::from(layout.kind), layout.bytes, layout.appended), (kind, bytes, appended));
    }
}
