//! Every outcome that there is, by the name that coverage gives it.

use wirebook_matcher::abi::{Kind, Reason};

/// Which reasons each kind can be rejected for.
const REJECTIONS: [(Kind, &[Reason]); 5] = [
    (Kind::Nop, &[Reason::ReservedBits, Reason::BadFlags]),
    (
        Kind::New,
        &[
            Reason::ReservedBits,
            Reason::BadFlags,
            Reason::UnknownInstrument,
            Reason::SlotRange,
            Reason::SlotLive,
            Reason::TickRange,
            Reason::QtyRange,
        ],
    ),
    (
        Kind::Cancel,
        &[
            Reason::ReservedBits,
            Reason::BadFlags,
            Reason::UnknownInstrument,
            Reason::SlotRange,
            Reason::NoOrder,
            Reason::NotYours,
        ],
    ),
    (
        Kind::Reduce,
        &[
            Reason::ReservedBits,
            Reason::BadFlags,
            Reason::UnknownInstrument,
            Reason::SlotRange,
            Reason::NoOrder,
            Reason::NotYours,
            Reason::QtyRange,
        ],
    ),
    (
        Kind::Replace,
        &[
            Reason::ReservedBits,
            Reason::BadFlags,
            Reason::UnknownInstrument,
            Reason::SlotRange,
            Reason::NoOrder,
            Reason::NotYours,
            Reason::SlotLive,
            Reason::TickRange,
            Reason::QtyRange,
        ],
    ),
];

/// What may become of an order that enters, by its time in force: what came before, and how it ends.
const GTC: [&str; 8] = [
    "rested",
    "fill, complete",
    "fill, rested",
    "fill, own maker, complete",
    "own maker, fill, complete",
    "fill, own maker, rested",
    "own maker, rested",
    "own maker, fill, rested",
];
const IOC: [&str; 8] = [
    "cancelled ImmediateOrCancel",
    "fill, complete",
    "fill, cancelled ImmediateOrCancel",
    "fill, own maker, complete",
    "own maker, fill, complete",
    "fill, own maker, cancelled ImmediateOrCancel",
    "own maker, cancelled ImmediateOrCancel",
    "own maker, fill, cancelled ImmediateOrCancel",
];
const SELF_TRADE: [&str; 4] = [
    "cancelled SelfTrade newest",
    "fill, cancelled SelfTrade newest",
    "own maker, cancelled SelfTrade both",
    "fill, own maker, cancelled SelfTrade both",
];

/// Every outcome that there is.
pub fn outcomes() -> Vec<String> {
    let mut names = vec!["unknown: rejected BadKind".to_owned(), "nop: done".to_owned()];
    for (kind, reasons) in REJECTIONS {
        let kind = format!("{kind:?}").to_lowercase();
        names.extend(reasons.iter().map(|reason| format!("{kind}: rejected {reason:?}")));
    }
    names.extend(["cancel: cancelled User", "reduce: cancelled User", "reduce: reduced"].map(str::to_owned));
    for (kind, before) in [("new", ""), ("replace", "replaced, "), ("replace relative", "replaced, ")] {
        let (word, relative) = kind.split_once(' ').map_or((kind, ""), |(word, _)| (word, " relative"));
        for (tif, ends) in [("", GTC), (" ioc", IOC)] {
            let ends = ends.iter().chain(&SELF_TRADE);
            names.extend(ends.map(|end| format!("{word}{tif}{relative}: {before}{end}")));
        }
        names.push(format!("{word} post{relative}: {before}rested"));
        names.push(format!("{word} post{relative}: cancelled PostOnly"));
    }
    for tif in ["", " ioc", " post"] {
        names.push(format!("replace{tif} relative: cancelled User"));
    }
    for end in ["cancelled FillOrKill", "fill, complete", "fill, own maker, complete", "own maker, fill, complete"] {
        names.push(format!("new fok: {end}"));
    }
    names
}
