// Made of src/abi/contract.rs (`WIREBOOK_REGENERATE=1 cargo test -p wirebook-matcher contract`). Not to be edited.
// Reset is asserted in the first cycle.
wire keeps_reset = begun || rst;
// The limits fit the memories, and quantities are signed 32-bit numbers above zero.
wire keeps_limits = cfg_slots >= 1 && cfg_slots <= ORDERS && cfg_books >= 1 && cfg_books <= BOOKS && cfg_max_qty >= 1 && cfg_max_qty <= 32'h7fff_ffff && cfg_ticks >= 1 && cfg_ticks <= TICKS;
// The limits change only in reset.
wire keeps_steady = !begun || rst || (cfg_slots == was_cfg_slots && cfg_books == was_cfg_books && cfg_max_qty == was_cfg_max_qty && cfg_ticks == was_cfg_ticks);
// A beat that is offered stays offered, unchanged, until it is taken (AXI4-Stream).
wire keeps_held = !begun || rst || was_rst || !was_s_axis_tvalid || was_s_axis_tready || (s_axis_tvalid && s_axis_tdata == was_s_axis_tdata);
wire contract = keeps_reset && keeps_limits && keeps_steady && keeps_held;
