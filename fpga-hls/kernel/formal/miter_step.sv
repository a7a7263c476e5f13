// wb_step and its twin in every state that kept.svh does not rule out (and it is shown here that no step leads out of it), on any command and any answer of the memories. What an enable does not
// cover means nothing, and is not compared: an event that is not valid, data that is not written, a neighbour where a flag says there is none.
`default_nettype none

module miter_step
  import kernel_pkg::*;
(
    input wire state_t      st,
    input wire logic        in_valid,
    input wire cmd_t        cmd,
    input wire rd_t         rd,
    input wire logic        ok,
    input wire logic [31:0] max_qty
);
  out_t a, b;
  wb_step u_made (.st(st), .in_valid(in_valid), .cmd(cmd), .rd(rd), .ok(ok), .max_qty(max_qty), .out(a));
  step_twin u_hand (.st, .in_valid, .cmd, .rd, .ok, .max_qty, .out(b));

  function automatic ev_t event_of(input ev_t ev);
    event_of = ev.valid ? ev : '0;
    if (!ev.has_maker) event_of.maker = '0;
  endfunction
  function automatic wr_t told(input wr_t wr);
    told = wr;
    if (!wr.live_en) {told.live_slot, told.live} = '0;
    if (!wr.leaves_en) {told.leaves_slot, told.leaves} = '0;
    if (!wr.tag_en) {told.tag_slot, told.owner, told.side, told.key} = '0;
    if (!wr.next_en) {told.next_slot, told.is_last} = '0;
    if (!wr.next_en || wr.is_last) told.next = '0;
    if (!wr.prev_en) {told.prev_slot, told.is_first} = '0;
    if (!wr.prev_en || wr.is_first) told.prev = '0;
    if (!wr.head_en) {told.head_side, told.head_key, told.head} = '0;
    if (!wr.tail_en) {told.tail_side, told.tail_key, told.tail_any} = '0;
    if (!wr.tail_en || !wr.tail_any) told.tail = '0;
    if (!wr.word_en) {told.word_side, told.word_grp, told.word} = '0;
    if (!wr.sums_en) told.sums = '0;
  endfunction

  `include "kept.svh"
  wire possible = kept(st) && made(cmd);

  ev_t ea, eb;
  wr_t wa, wb;
  assign ea = event_of(a.ev);
  assign eb = event_of(b.ev);
  assign wa = told(a.wr);
  assign wb = told(b.wr);
  always_comb begin
    assert (!possible || a.st == b.st);
    assert (!possible || a.ready == b.ready);
    assert (!possible || ea == eb);
    assert (!possible || a.ra == b.ra);
    assert (!possible || wa == wb);
    assert (kept(at_reset()));
    assert (!possible || kept(a.st));
  end
endmodule

`default_nettype wire
