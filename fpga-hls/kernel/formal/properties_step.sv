// What one step of the datapath keeps, whatever the memories answer: proven by induction over steps. `invariant` holds after reset (all zero),
// and each step from a state in which it holds leads to one in which it holds; in every such state what is asserted of a step holds.
//
//   conserved  what a fill takes from the taker it takes from the maker; the maker's rest is what is written; none is below zero
//   limit      no fill beyond the taker's limit, and each at the maker's price
//   head       the maker is the order at the head of the best level that the state knows
//   uncrossed  what rests does not cross the other side's best, and no post-only order trades
`default_nettype none

module properties_step
  import kernel_pkg::*;
  import abi_pkg::*;
(
    input wire state_t      st,
    input wire logic        in_valid,
    input wire cmd_t        cmd,
    input wire rd_t         rd,
    input wire logic        ok,
    input wire logic [31:0] max_qty
);
  out_t o;
  wb_step u_step (.st(st), .in_valid(in_valid), .cmd(cmd), .rd(rd), .ok(ok), .max_qty(max_qty), .out(o));

  `include "kept.svh"
  // Between a comparison and what follows from it, the side at work is the one that the taker meets; and ACT finds CMP's answers true.
  function automatic logic invariant(input state_t s);
    top_t top;
    logic at_work, told;
    ph_t  levels;
    top     = s.t[s.side];
    levels  = PH_LV1 | PH_LV2 | PH_LV3 | PH_G1 | PH_G2 | PH_G3 | PH_G4 | PH_G5 | PH_G6 | PH_T1 | PH_T2 | PH_T3;
    at_work = (s.ph & (PH_CMP | PH_ACT | PH_HOLD)) != 0 || ((s.ph & levels) != 0 && s.ret == RET_CMP);
    told    = s.crosses == (top.best && top.best_key <= ~s.t_key) && s.le == (s.left <= top.leaves) && s.ge == (s.left >= top.leaves)
           && s.m_rest == top.leaves - s.left && s.t_rest == s.left - top.leaves;
    return kept(s) && (s.ph != PH_B4 || s.ret == RET_B4) && (!at_work || s.side == ~s.t_side) && (s.ph != PH_ACT || told);
  endfunction

  top_t        top;
  logic        fill;
  logic [31:0] limit, price;
  key_t        limit_tick, price_tick;
  assign limit_tick = st.t_side ? st.t_key : ~st.t_key;
  assign price_tick = st.side ? top.best_key : ~top.best_key;
  assign top   = st.t[st.side];
  assign fill  = st.ph == PH_ACT && o.ev.valid && o.ev.kind == kind_t'(EVENT_FILL);
  assign limit = 32'(limit_tick);
  assign price = 32'(price_tick);
  wire holds = invariant(st) && made(cmd);
  wire whole = o.ev.qty == 32'(top.leaves);      // the maker is complete

  always_comb begin
    assert (invariant(at_reset()));
    assert (!holds || invariant(o.st));
    if (holds && fill) begin
      // conserved
      assert (o.ev.last ? o.ev.qty == 32'(st.left) : 32'(o.st.left) + o.ev.qty == 32'(st.left));
      assert (o.ev.qty <= 32'(top.leaves) && o.ev.qty <= 32'(st.left));
      assert (whole || (o.wr.leaves_en && o.wr.leaves_slot == top.slot && 32'(o.wr.leaves) + o.ev.qty == 32'(top.leaves)));
      assert (whole || 32'(o.st.t[st.side].leaves) + o.ev.qty == 32'(top.leaves));
      assert (!whole || (o.wr.live_en && o.wr.live_slot == top.slot && !o.wr.live));
      assert (o.ev.freed == {o.ev.last, whole} && o.ev.last == (o.ev.qty == 32'(st.left)));
      // limit
      assert (st.t_side ? o.ev.tick >= limit : o.ev.tick <= limit);
      assert (o.ev.tick == price);
      // head
      assert (top.best && o.ev.has_maker && o.ev.maker == top.slot && st.side != st.t_side);
      // uncrossed
      assert (!(st.checks && st.c.post_only));
    end
    if (holds && st.ph == PH_ACT && o.ev.valid && o.ev.kind == kind_t'(EVENT_RESTED)) begin
      assert (!(top.best && top.best_key <= ~st.t_key));
      assert (o.ev.qty == 32'(st.left) && o.wr.leaves_en && o.wr.leaves == st.left && o.wr.leaves_slot == st.t_slot);
    end
  end
endmodule

`default_nettype wire
