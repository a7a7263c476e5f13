use std::collections::BTreeMap;

use proptest::prelude::*;
use wirebook_matcher::Reference;
use wirebook_matcher::abi::Side;
use wirebook_matcher::flow::{Fill, Offline, OrderLine, Survey};

use super::lobster::{Counts, convert};
use super::rows::{Kind, Row, Rows};

const SAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/lobster_messages.csv"));
const SAMPLE_ORDERS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/lobster_orders.csv"));
const SAMPLE_FILLS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/lobster_fills.csv"));

fn converted(rows: &Rows) -> (Vec<OrderLine>, Counts) {
    let mut lines = Vec::new();
    let write = |line: &OrderLine| {
        lines.push(*line);
        Ok(())
    };
    let counts = convert("test.csv", rows, write, |_| {}).unwrap();
    (lines, counts)
}

fn orders_of(messages: &str) -> Vec<String> {
    let rows = Rows::read("test.csv", messages.as_bytes()).unwrap();
    converted(&rows).0.iter().map(ToString::to_string).collect()
}

/// Matches with the plain matcher; nothing may be refused.
fn matched(lines: &[OrderLine]) -> Vec<Fill> {
    let mut survey = Survey::new(1).unwrap();
    lines.iter().for_each(|line| survey.add(line));
    let mut offline = Offline::<Reference>::growing(survey.band().unwrap(), lines.len() as u32 + 2);
    let mut fills = Vec::new();
    for line in lines {
        offline.apply(line, |fill| fills.push(fill)).unwrap_or_else(|refused| panic!("{line}: {refused}"));
    }
    fills
}

#[test]
fn the_committed_sample_gives_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("messages.csv"), SAMPLE).unwrap();
    let args = super::ConvertArgs {
        format: super::Format::Lobster,
        messages: path("messages.csv"),
        orders: path("orders.csv"),
        json: super::JsonOption { json: Some(path("report.json")) },
    };
    super::run(&args).unwrap();
    assert_eq!(std::fs::read_to_string(path("orders.csv")).unwrap(), SAMPLE_ORDERS);
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path("report.json")).unwrap()).unwrap();
    for field in ["hidden_executions", "halts", "first_seen_late", "executions_as_reduces", "cancelled_crossed"] {
        assert_ne!(json[field], 0, "the sample has no {field}");
    }
    let rows = Rows::read("sample", SAMPLE.as_bytes()).unwrap();
    let fills: Vec<String> = matched(&converted(&rows).0).iter().map(ToString::to_string).collect();
    assert_eq!(fills, SAMPLE_FILLS.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn a_run_is_one_order_at_its_worst_price() {
    let orders = orders_of(
        "1.0,1,11,5,100,-1\n1.1,1,12,5,101,-1\n1.2,1,13,5,99,1\n2.0,4,11,5,100,-1\n2.00,5,0,7,100,-1\n2,4,12,3,101,-1\n\
         2.0,4,13,1,99,1\n2.5,4,13,1,99,1\n",
    );
    assert_eq!(orders[3..], ["X,1,1,101,8", "X,2,-1,99,1", "X,3,-1,99,1"], "one time and side each");
}

#[test]
fn orders_first_seen_late_come_before_larger_ids_or_at_once() {
    let orders = orders_of(
        "1.0,1,20,5,90,1\n1.1,1,40,5,91,1\n2.0,2,30,1,92,1\n2.1,3,30,2,92,1\n2.2,4,50,4,95,-1\n2.3,3,10,7,80,1\n",
    );
    assert_eq!(
        orders,
        [
            "A,10,1,80,7",
            "A,20,1,90,5",
            "A,30,1,92,3",
            "A,40,1,91,5",
            "R,30,1,92,1",
            "C,30,1,92,2",
            "A,50,-1,95,4",
            "X,1,1,95,4",
            "C,10,1,80,7"
        ]
    );
}

#[test]
fn an_add_cancels_what_it_would_cross_best_first() {
    let orders =
        orders_of("1,1,1,5,101,-1\n2,1,2,5,100,-1\n3,1,3,5,100,-1\n4,1,4,5,102,-1\n5,1,5,9,101,1\n6,3,4,5,102,-1\n");
    assert_eq!(orders[4..], ["C,2,-1,100,5", "C,3,-1,100,5", "C,1,-1,101,5", "A,5,1,101,9", "C,4,-1,102,5"]);
}

#[test]
fn what_nobody_names_leaves_before_an_execution_and_others_make_it_a_reduce() {
    let ahead = "1,1,1,5,100,-1\n2,1,2,5,99,-1\n3,1,3,5,100,-1\n";
    assert_eq!(orders_of(&format!("{ahead}4,4,3,2,100,-1\n"))[3..], ["C,2,-1,99,5", "C,1,-1,100,5", "X,1,1,100,2"]);
    assert_eq!(
        orders_of(&format!("{ahead}4,4,3,2,100,-1\n5,3,2,5,99,-1\n"))[3..],
        ["C,1,-1,100,5", "R,3,-1,100,2", "C,2,-1,99,5"],
        "2 is named later"
    );
}

#[test]
fn an_order_passed_over_by_its_own_run_loses_its_rest_first() {
    let orders = orders_of("1,1,1,9,100,-1\n2,1,2,5,101,-1\n3,4,1,4,100,-1\n3,4,2,5,101,-1\n");
    assert_eq!(orders[2..], ["R,1,-1,100,5", "X,1,1,101,9"]);
}

#[test]
fn rows_about_the_dead_are_dropped_and_aggressors_avoid_live_ids() {
    let rows = "1,1,1,5,100,-1\n2,1,8,5,101,1\n3,4,1,5,100,-1\n4,3,1,5,100,-1\n5,1,8,1,90,1\n6,1,2,1,110,-1\n7,4,8,5,101,1\n8,3,2,1,110,-1\n";
    let rows = Rows::read("test.csv", rows.as_bytes()).unwrap();
    let (lines, counts) = converted(&rows);
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["A,1,-1,100,5", "C,1,-1,100,5", "A,8,1,101,5", "A,2,-1,110,1", "X,1,-1,101,5", "C,2,-1,110,1"],);
    assert_eq!(counts.rows_without_order, 3);
    let orders = orders_of("1,1,1,5,90,1\n2,1,8,5,101,-1\n3,4,8,5,101,-1\n4,3,1,5,90,1\n");
    assert_eq!(orders[2], "X,2,1,101,5", "1 is live");
}

#[test]
fn too_much_for_one_order_is_an_error() {
    let late = "1,2,7,2147483647,100,1\n1,2,7,1,100,1\n";
    let rows = Rows::read("day.csv", late.as_bytes()).unwrap();
    let error = convert("day.csv", &rows, |_| Ok(()), |_| {}).unwrap_err().to_string();
    assert!(error.contains("order 7") && error.contains("2147483648"), "{error}");
}

/// Rows as a recording of some levels might have them: mostly about few orders, in few prices, with gaps of every kind.
fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0_u8..8, 1_u64..40, 95_i64..105, 1_u32..20, any::<bool>(), 0_u32..3);
    prop::collection::vec(row, 0..300).prop_map(|rows| {
        let mut home: BTreeMap<u64, (Side, i64)> = BTreeMap::new();
        let mut instant = 0;
        let place = |(kind, id, price, qty, buy, step): (u8, u64, i64, u32, bool, u32)| {
            instant += u32::from(step == 0);
            let kind = match kind {
                0..=2 => Kind::Add,
                3 => Kind::Reduce,
                4 => Kind::Cancel,
                _ => Kind::Execute,
            };
            let id = id + 1000;
            let fresh = (if buy { Side::Buy } else { Side::Sell }, price);
            let (side, price) = *home.entry(id).or_insert(fresh);
            Row { id, price, qty, instant, kind, side }
        };
        rows.into_iter().map(place).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the rows: nothing that is written is refused, an add never trades, and a run fills whole, from the makers and in the
    /// order of its rows.
    #[test]
    fn fills_are_the_recorded_executions(kept in any_rows()) {
        let rows = Rows { kept, ..Rows::default() };
        let (lines, counts) = converted(&rows);
        prop_assert_eq!(lines.len() as u64, counts.orders);
        let fills = matched(&lines);
        let adds = rows.kept.iter().filter(|row| row.kind == Kind::Add).count() as u64;
        prop_assert!(counts.adds <= adds);
        let mut recorded: BTreeMap<u64, Vec<(u64, i64)>> = BTreeMap::new();
        let mut runs: Vec<Vec<(u64, i64)>> = Vec::new();
        let mut last: Option<&Row> = None;
        for row in &rows.kept {
            if row.kind == Kind::Execute {
                let joins = last.is_some_and(|l| l.kind == Kind::Execute && l.instant == row.instant && l.side == row.side);
                if !joins {
                    runs.push(Vec::new());
                }
                runs.last_mut().unwrap().push((row.id, row.price));
            }
            last = Some(row);
        }
        for fill in &fills {
            prop_assert!(fill.aggressor < 1000, "an add traded: {}", fill);
            recorded.entry(fill.aggressor).or_default().push((fill.resting_id, fill.price));
        }
        let wanted: u64 = lines.iter().filter(|l| l.op == wirebook_matcher::flow::Op::ImmediateOrCancel).map(|l| u64::from(l.qty)).sum();
        let traded: u64 = fills.iter().map(|fill| u64::from(fill.qty)).sum();
        prop_assert_eq!(wanted, traded, "an aggressor was not filled whole");
        prop_assert_eq!(recorded.len() as u64, counts.runs);
        // The fills of each aggressor are a subsequence of some run's rows, and runs keep their order.
        let mut runs = runs.iter();
        for makers in recorded.values() {
            let is_within = |run: &&Vec<(u64, i64)>| {
                let mut rows = run.iter();
                makers.iter().all(|maker| rows.any(|row| row == maker))
            };
            prop_assert!(runs.any(|run| is_within(&run)), "no run has the makers {:?}", makers);
        }
    }
}

#[test]
fn executions_behind_a_deep_queue_are_reduces() {
    // Thousands of orders ahead, each of them named by a last row: no execution may clear them away, nor walk past them all.
    const DEEP: u64 = 20_000;
    let mut kept = Vec::new();
    let mut push = |kind, id, price, qty, instant| kept.push(Row { id, price, qty, instant, kind, side: Side::Sell });
    (0..DEEP).for_each(|id| push(Kind::Add, 1000 + id, 100, 1, 0));
    push(Kind::Add, 900_000, 101, DEEP as u32 + 1, 0);
    (0..DEEP).for_each(|n| push(Kind::Execute, 900_000, 101, 1, n as u32 + 1));
    (0..DEEP).for_each(|id| push(Kind::Cancel, 1000 + id, 100, 1, 0));
    let (lines, counts) = converted(&Rows { kept, ..Rows::default() });
    assert_eq!((counts.executions_as_reduces, counts.executions), (DEEP, 0));
    assert_eq!(lines.len() as u64, 3 * DEEP + 1);
}
