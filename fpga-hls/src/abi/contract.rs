//! What a host must do, so that the kernel answers as the twins do: written here, once.
//!
//! There is little: the kernel answers every beat whatever, so nothing is asked of what a beat says. Each clause is a sentence, a
//! SystemVerilog condition over the ports of `kernel_core` that the proofs assume (`kernel/formal/contract.svh` is made of them), and a
//! function here that the host's side calls.

use super::limits::Limits;

/// One thing that the host promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its name, in proofs and in errors.
    pub name: &'static str,
    /// The promise.
    pub promise: &'static str,
    /// What must hold in every cycle. `was_X` is `X` in the cycle before; `begun` is 0 in the first cycle.
    pub condition: &'static str,
}

/// The contract.
pub const CLAUSES: [Clause; 4] = [
    Clause { name: "reset", promise: "Reset is asserted in the first cycle.", condition: "begun || rst" },
    Clause {
        name: "limits",
        promise: "The limits fit the memories, and quantities are signed 32-bit numbers above zero.",
        condition: "cfg_slots >= 1 && cfg_slots <= ORDERS && cfg_books >= 1 && cfg_books <= BOOKS && \
                    cfg_max_qty >= 1 && cfg_max_qty <= 32'h7fff_ffff && cfg_ticks >= 1 && cfg_ticks <= TICKS",
    },
    Clause {
        name: "steady",
        promise: "The limits change only in reset.",
        condition: "!begun || rst || (cfg_slots == was_cfg_slots && cfg_books == was_cfg_books && cfg_max_qty == was_cfg_max_qty && \
                    cfg_ticks == was_cfg_ticks)",
    },
    Clause {
        name: "held",
        promise: "A beat that is offered stays offered, unchanged, until it is taken (AXI4-Stream).",
        condition: "!begun || rst || was_rst || !was_s_axis_tvalid || was_s_axis_tready || \
                    (s_axis_tvalid && s_axis_tdata == was_s_axis_tdata)",
    },
];

/// Clause `limits`, on the host's side.
///
/// # Errors
/// Which size is beyond the memories.
pub fn limits(limits: &Limits, ticks: u32, orders: u32, books: u32) -> Result<(), &'static str> {
    if limits.validate().is_err() {
        return Err("limits: they do not validate");
    }
    if limits.ticks.len() > books as usize {
        return Err("limits: more instruments than books");
    }
    if limits.ticks.iter().any(|asked| *asked > ticks) {
        return Err("limits: a band wider than the books");
    }
    if limits.slots > orders { Err("limits: more slots than the memories have orders") } else { Ok(()) }
}

/// Clause `held`: what was offered and not taken before, and what is offered now.
///
/// # Errors
/// When it was withdrawn or changed.
pub fn held(before: Option<&[u64; 4]>, now: Option<&[u64; 4]>) -> Result<(), &'static str> {
    match (before, now) {
        (None, _) => Ok(()),
        (Some(before), Some(now)) if before == now => Ok(()),
        (Some(_), Some(_)) => Err("held: a beat was changed before it was taken"),
        (Some(_), None) => Err("held: a beat was withdrawn before it was taken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clauses as the proofs include them.
    fn header() -> String {
        let mut text = String::from(
            "// Made of src/abi/contract.rs (`WIREBOOK_REGENERATE=1 cargo test -p wirebook-matcher contract`). Not to be edited.\n",
        );
        for Clause { name, promise, condition } in CLAUSES {
            text.push_str(&format!("// {promise}\nwire keeps_{name} = {condition};\n"));
        }
        let names = CLAUSES.map(|clause| format!("keeps_{}", clause.name));
        text + &format!("wire contract = {};\n", names.join(" && "))
    }

    #[test]
    fn the_proofs_assume_this_contract() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/kernel/formal/contract.svh");
        if std::env::var_os("WIREBOOK_REGENERATE").is_some() {
            std::fs::write(path, header()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), header(), "make it again, and prove again");
    }

    #[test]
    fn each_clause_of_the_hosts_side_can_fail() {
        let fits = Limits { ticks: vec![3, 4], slots: 5, max_qty: 6 };
        assert_eq!(limits(&fits, 4, 5, 2), Ok(()));
        for (ticks, orders, books) in [(3, 5, 2), (4, 4, 2), (4, 5, 1)] {
            assert!(limits(&fits, ticks, orders, books).unwrap_err().starts_with("limits: "));
        }
        assert!(limits(&Limits { max_qty: 0, ..fits }, 4, 5, 2).is_err());
        let (one, other) = ([1; 4], [2; 4]);
        assert_eq!((held(None, None), held(None, Some(&one)), held(Some(&one), Some(&one))), (Ok(()), Ok(()), Ok(())));
        assert!(held(Some(&one), Some(&other)).is_err() && held(Some(&one), None).is_err());
    }
}
