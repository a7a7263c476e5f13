// wb_decode and its twin on any beat and any limits.
module miter_decode
  import kernel_pkg::*;
(
    input wire logic [255:0] beat,
    input wire lim_t         lim
);
  cmd_t a, b;
  wb_decode u_made (.beat(beat), .lim(lim), .out(a));
  decode_twin u_hand (.beat, .lim, .out(b));
  // What was read of a check that did not fail means nothing.
  wire same = {a.seq, a.book, a.owner, a.slot, a.slot2, a.tick, a.qty, a.kind, a.side, a.key, a.tif, a.mode, a.post_only, a.relative, a.is_new,
               a.early_bad, a.late_bad, a.uses_book}
           == {b.seq, b.book, b.owner, b.slot, b.slot2, b.tick, b.qty, b.kind, b.side, b.key, b.tif, b.mode, b.post_only, b.relative, b.is_new,
               b.early_bad, b.late_bad, b.uses_book};
  wire why = (!a.early_bad || a.early == b.early) && (!a.late_bad || a.late == b.late);
  `include "kept.svh"
  always_comb begin
    assert (same && why);
    assert (made(a));
  end
endmodule
