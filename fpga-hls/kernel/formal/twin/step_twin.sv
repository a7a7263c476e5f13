// One step of the kernel, written again by hand: phase by phase, what each does to the state and what it tells the memories, where the
// DSLX has one expression for each field. From the table of src/abi and the meaning of the phases; nothing of gen/ is used but the types.
//
// As the module `wb_step` it stands in the kernel's place too (macro TWIN_IS_STEP), so that what is planted here can be simulated:
//   PLANTED_THROUGH   a buyer's limit is not looked at once it has traded
//   PLANTED_HEAD      a maker that is not its level's last is followed by the level's next but one
//   PLANTED_LOST      a maker that is partly filled keeps one lot too many
//   PLANTED_MAKER     a fill names the order behind its maker
//   PLANTED_CROSSED   a post-only order that would cross rests
`default_nettype none

`ifdef TWIN_IS_STEP
module wb_step
`else
module step_twin
`endif
  import kernel_pkg::*;
  import abi_pkg::*;
(
    input  wire state_t      st,
    input  wire logic        in_valid,
    input  wire cmd_t        cmd,
    input  wire rd_t         rd,
    input  wire logic        ok,
    input  wire logic [31:0] max_qty,
    output      out_t        out
);
  function automatic key_t mirrored(input logic side, input key_t tick);  // its own inverse
    return side ? tick : ~tick;
  endfunction
  function automatic word_t one(input low_t at);
    return word_t'(1) << at;
  endfunction
  function automatic grp_t group_of(input key_t key);
    return key[KW-1:LW];
  endfunction
  function automatic ph_t resume(input ret_t ret);
    case (ret)
      RET_CMP: return PH_CMP;
      RET_SET: return PH_SET;
      RET_ENT: return PH_ENT;
      default: return PH_B4;
    endcase
  endfunction
  localparam kind_t NOP = kind_t'(KIND_NOP), REDUCE = kind_t'(KIND_REDUCE), REPLACE = kind_t'(KIND_REPLACE);

  cmd_t   c;
  order_t o;
  top_t   head;                    // the first, with leaves and owner that have just come
  top_t   top, far, t;             // of the side at work; of the other; the first, as it will be
  logic   refused, nop, can, fok, enough, fok_ends, meets;
  logic   drop, rest, fill, spare, count, won, gone, ends;
  slot_t  after;                   // who comes after the order that is ahead
  logic   only, goes, reduces, enters, level;
  logic   bad, nothing, crossing;
  key_t   k_key;
  logic   fresh_word;
  word_t  pushed;
  always_comb begin
    c   = st.c;
    o   = st.o;
    top = st.t[st.side];
    far = st.t[~st.side];
    t   = top;
    // The head has moved: its leaves and owner come a cycle after its links.
    if (st.late) begin
      t.leaves = rd.leaves;
      t.owner  = rd.owner;
    end
    head = t;

    out    = '0;
    out.st = st;

    // ---- What is computed in every cycle, for the phase that will look at it.
    out.st.crosses = top.best && ~st.t_key >= top.best_key;
    out.st.le      = st.left <= head.leaves;
    out.st.ge      = st.left >= head.leaves;
    out.st.own        = c.mode != SELF_TRADE_OFF && c.owner == head.owner;
    out.st.own_ends   = (c.mode == SELF_TRADE_CANCEL_NEWEST || c.mode == SELF_TRADE_CANCEL_BOTH) && c.owner == head.owner;
    out.st.own_newest = c.mode == SELF_TRADE_CANCEL_NEWEST && c.owner == head.owner;
    out.st.m_rest  = head.leaves - st.left;
    out.st.t_rest  = st.left - head.leaves;
    out.st.low_any = |top.word;
    out.st.low     = '0;
    for (int i = WORD - 1; i >= 0; i--) if (top.word[i]) out.st.low = low_t'(i);
    out.st.group_none = ~|st.sum_bits;
    out.st.group      = '0;
    for (int i = GROUPS - 1; i >= 0; i--) if (st.sum_bits[i]) out.st.group = grp_t'(i);
    for (int i = 0; i < GROUPS; i++) out.st.sum_bits[i] = top.sums[i] && (st.rebuild || i > int'(top.grp));
    out.st.line      = rd.word | one(low_t'(st.t_key));
    // R1's answers: how the taker's level stands to the levels that the top knows.
    out.st.e_fresh  = !rd.tail_any;
    out.st.e_append = rd.tail_any && top.is_last && st.t_key == top.best_key;
    {out.st.e_first, out.st.e_better, out.st.e_mid, out.st.e_in, out.st.e_before} = '0;
    if (!rd.tail_any) begin
      if (!top.best) out.st.e_first = 1'b1;
      else if (st.t_key < top.best_key) out.st.e_better = 1'b1;
      else if (!top.next || st.t_key < top.next_key) out.st.e_mid = 1'b1;
      else if (group_of(st.t_key) == top.grp) out.st.e_in = 1'b1;
      else if (group_of(st.t_key) < top.grp) out.st.e_before = 1'b1;
    end
    out.st.e_push = group_of(top.next_key) == top.grp;
    // CMP's answers, of the command alone.
    out.st.x_bad  = st.checks && (c.early_bad || c.late_bad);
    out.st.x_new  = st.checks && c.is_new;
    out.st.x_nop  = st.checks && c.kind == NOP && !c.early_bad;
    out.st.x_fok  = c.tif == TIF_FOK && c.is_new && !st.counted;
    out.st.x_post = st.checks && c.post_only;
    out.st.chase  = 1'b0;
    out.st.late   = 1'b0;

    // ---- Where the memories are read, unless the phase says otherwise.
    out.ra.book      = st.cur;
    out.ra.slot      = top.ahead;
    out.ra.named     = slot_t'(cmd.slot);
    out.ra.live      = slot_t'(c.slot);
    out.ra.live2     = c.slot2;
    out.ra.tail_side = st.t_side;
    out.ra.tail_key  = st.t_key;
    out.ra.head_side = st.side;
    out.ra.head_key  = {top.grp, st.low};
    out.ra.word_side = st.side;
    out.ra.word_grp  = st.group;

    out.ev.seq      = c.seq;
    out.ev.index    = st.index;
    out.wr.book     = st.cur;

    // ---- Verdicts of ACT.
    refused  = st.x_bad || (st.x_new && rd.live);
    nop      = st.x_nop;
    can      = !refused && !nop;
    fok      = st.x_fok;                                             // still to be counted
    enough   = st.crosses && !st.own && st.le;
    fok_ends = fok && (!st.crosses || st.own_ends);
    won      = can && fok && enough && st.counting;
    count    = can && fok && !fok_ends && !enough;
    meets    = can && !st.kill && !(fok && (st.counting || !enough));
    {drop, rest, fill, spare} = '0;
    out.ev.reason = '0;
    if (meets) begin
      if (!st.crosses) begin
        if (c.tif == TIF_GTC) rest = 1'b1;
        else begin
          drop          = 1'b1;
          out.ev.reason = reason_t'(REASON_IMMEDIATE_OR_CANCEL);
        end
`ifdef PLANTED_CROSSED
      end else if (1'b0) begin
`else
      end else if (st.x_post) begin
`endif
        drop          = 1'b1;
        out.ev.reason = reason_t'(REASON_POST_ONLY);
      end else if (!st.own) fill = 1'b1;
      else if (st.own_newest) begin
        drop          = 1'b1;
        out.ev.reason = reason_t'(REASON_SELF_TRADE);
      end else begin
        spare         = 1'b1;
        out.ev.reason = reason_t'(REASON_SELF_TRADE);
      end
`ifdef PLANTED_CROSSED
      if (st.x_post && st.crosses) {drop, rest, fill, spare} = 4'b0100;
`endif
    end
    if (can && fok_ends) begin
      drop          = 1'b1;
      out.ev.reason = reason_t'(REASON_FILL_OR_KILL);
    end
    if (can && st.kill) begin
      drop          = 1'b1;
      out.ev.reason = reason_t'(REASON_SELF_TRADE);
    end
    gone  = spare || count || (fill && st.ge);
    ends  = fill && st.le;
    after = rd.is_last ? top.next_head : rd.next;

    `include "change_verdicts.svh"

    fresh_word = 1'b0;
    pushed     = '0;
    if (st.ph != PH_ACT) out.ev.reason = '0;
    case (st.ph)
      PH_IDLE: begin
        out.ra.slot  = cmd.kind == kind_t'(KIND_NEW) ? st.t[~cmd.side].ahead : slot_t'(cmd.slot);
        out.ra.live  = slot_t'(cmd.slot);
        out.ra.live2 = cmd.slot2;
        if (in_valid) begin
          if (cmd.uses_book && cmd.book != st.cur) begin
            out.st.ph  = PH_B1;
            out.st.cur = cmd.book;
          end else begin
            out.ready       = 1'b1;
            out.st.ph       = PH_CMP;
            out.st.side     = ~cmd.side;
            out.st.c        = cmd;
            out.st.index    = '0;
            out.st.t_slot   = slot_t'(cmd.slot);
            out.st.t_side   = cmd.side;
            out.st.t_key    = cmd.key;
            out.st.left     = qty_t'(cmd.qty);
            out.st.checks   = 1'b1;
            out.st.counting = 1'b0;
            out.st.counted  = 1'b0;
            out.st.kill     = 1'b0;
            out.st.rebuild  = 1'b0;
          end
        end
      end

      PH_CMP: begin
        out.ra.word_side = st.t_side;
        out.ra.word_grp  = group_of(st.t_key);
        out.st.chase     = !top.is_last;
        out.st.ph = st.checks && !c.early_bad && !c.is_new && c.kind != NOP ? PH_K0 : PH_ACT;
      end

      PH_ACT: begin
        out.ra.word_grp = group_of(top.best_key);
        if (!top.is_last) out.ra.slot = after;    // as if the head were gone: the next but one
        if (!ok) out.st.ph = PH_HOLD;
        else begin
          // The event, unless a fill-or-kill order is only counting.
          out.ev.valid = !count && !won;
          out.st.index = st.index + index_t'(!count && !won);
          out.ev.last  = refused || nop || drop || rest || ends;
          out.ev.taker = refused ? c.slot : nop ? '0 : 32'(st.t_slot);
          out.ev.tick  = nop ? '0 : c.tick;
          if (refused) begin
            out.ev.kind   = kind_t'(EVENT_REJECTED);
            out.ev.reason = c.early_bad ? c.early : st.x_new && rd.live ? reason_t'(REASON_SLOT_LIVE) : c.late;
            out.ev.qty    = c.qty;
          end else if (nop) out.ev.kind = kind_t'(EVENT_DONE);
          else if (fill || spare) begin
            out.ev.kind      = fill ? kind_t'(EVENT_FILL) : kind_t'(EVENT_CANCELLED);
            out.ev.has_maker = 1'b1;
`ifdef PLANTED_MAKER
            out.ev.maker     = top.ahead;
`else
            out.ev.maker     = top.slot;
`endif
            out.ev.tick      = 32'(mirrored(st.side, top.best_key));
            out.ev.qty       = 32'(fill && st.le ? st.left : top.leaves);
            out.ev.freed     = {ends, gone};
          end else if (rest) begin
            out.ev.kind = kind_t'(EVENT_RESTED);
            out.ev.qty  = 32'(st.left);
          end else begin
            out.ev.kind  = kind_t'(EVENT_CANCELLED);
            out.ev.freed = 2'b10;
            out.ev.qty   = fok_ends ? c.qty : 32'(st.left);
          end

          out.st.checks = 1'b0;
          out.st.ret    = ends || drop ? RET_SET : RET_CMP;
          if (rest) out.st.side = st.t_side;
          if (spare) out.st.kill = c.mode == SELF_TRADE_CANCEL_BOTH;
          if (fill || (count && !st.own)) out.st.left = st.t_rest;
          if (count) out.st.counting = 1'b1;
          if (won) begin
            out.st.counting = 1'b0;
            out.st.counted  = 1'b1;
            out.st.left     = qty_t'(c.qty);
          end
          if (won || (st.counting && drop)) begin
            out.st.ph      = PH_G1;
            out.st.rebuild = 1'b1;
          end else if (gone) out.st.ph = top.is_last ? PH_LV1 : ends ? PH_SET : PH_CMP;
          else if (rest) out.st.ph = PH_R1;
          else if (fill) out.st.ph = PH_SET;
          else out.st.ph = PH_IDLE;

          // Who is first now.
          if (gone && top.is_last) begin
            t.best         = top.next;
            t.best_key     = top.next_key;
            out.st.gone_key = top.best_key;
            out.st.clear   = !count;
            out.st.advance = 1'b1;
            out.st.load    = top.next;
          end else if (gone) begin
            t.slot      = top.ahead;
            out.st.late = 1'b1;
            t.is_last   = rd.is_last;
            t.ahead     = after;
          end else if (fill) t.leaves = st.m_rest;
`ifdef PLANTED_LOST
          if (fill && !gone) t.leaves = st.m_rest + 1'b1;
`endif
`ifdef PLANTED_HEAD
          if (gone && !top.is_last && !count && !rd.is_last) t.slot = rd.next;
`endif

          // What the memories are told.
          if (rest) begin
            out.wr.live_en     = 1'b1;
            out.wr.live_slot   = st.t_slot;
            out.wr.live        = 1'b1;
            out.wr.leaves_en   = 1'b1;
            out.wr.leaves_slot = st.t_slot;
            out.wr.leaves      = st.left;
            out.wr.tag_en      = 1'b1;
            out.wr.tag_slot    = st.t_slot;
            out.wr.owner       = c.owner;
            out.wr.side        = st.t_side;
            out.wr.key         = st.t_key;
            out.wr.next_en     = 1'b1;
            out.wr.next_slot   = st.t_slot;
            out.wr.is_last     = 1'b1;
          end
          if (gone && !count) begin
            out.wr.live_en   = 1'b1;
            out.wr.live_slot = top.slot;
            if (top.is_last) begin
              out.wr.tail_en   = 1'b1;
              out.wr.tail_side = st.side;
              out.wr.tail_key  = top.best_key;
            end else begin
              out.wr.prev_en   = 1'b1;
              out.wr.prev_slot = top.ahead;
              out.wr.is_first  = 1'b1;
              out.wr.head_en   = 1'b1;
              out.wr.head_side = st.side;
              out.wr.head_key  = top.best_key;
              out.wr.head      = top.ahead;
            end
          end
          if (fill && !st.ge) begin
            out.wr.leaves_en   = 1'b1;
            out.wr.leaves_slot = top.slot;
            out.wr.leaves      = st.m_rest;
          end
        end
      end

      PH_HOLD: out.st.ph = PH_CMP;

      `include "step_levels.svh"

      // An order enters its level, at the tail.
      PH_R1: begin
        out.st.ph        = PH_R2;
        out.wr.prev_en   = 1'b1;
        out.wr.prev_slot = st.t_slot;
        out.wr.is_first  = !rd.tail_any;
        out.wr.prev      = rd.tail;
        out.wr.tail_en   = 1'b1;
        out.wr.tail_side = st.side;
        out.wr.tail_key  = st.t_key;
        out.wr.tail_any  = 1'b1;
        out.wr.tail      = st.t_slot;
        if (rd.tail_any) begin
          out.wr.next_en   = 1'b1;
          out.wr.next_slot = rd.tail;
          out.wr.next      = st.t_slot;
        end else begin
          out.wr.head_en   = 1'b1;
          out.wr.head_side = st.side;
          out.wr.head_key  = st.t_key;
          out.wr.head      = st.t_slot;
        end
      end
      PH_R2: begin
        out.st.ph = PH_SET;
        // The second level goes back into a word when another takes its place.
        pushed = one(low_t'(top.next_key)) | (st.e_push ? top.word : '0);
        if (st.e_append) begin
          t.is_last = 1'b0;
          t.ahead   = st.t_slot;
        end
        if (st.e_first || st.e_better) begin
          t.best     = 1'b1;
          t.best_key = st.t_key;
          t.slot     = st.t_slot;
          t.leaves   = st.left;
          t.owner    = c.owner;
          t.is_last  = 1'b1;
        end
        if (st.e_first) begin
          t.next = 1'b0;
          t.word = '0;
          t.grp  = group_of(st.t_key);
        end
        if (st.e_better) begin
          t.next      = 1'b1;
          t.next_key  = top.best_key;
          t.next_head = top.slot;
          t.ahead     = top.slot;
          t.word      = top.next ? pushed : '0;
          t.grp       = group_of(top.next ? top.next_key : top.best_key);
        end
        if (st.e_mid) begin
          t.next      = 1'b1;
          t.next_key  = st.t_key;
          t.next_head = st.t_slot;
          if (top.is_last) t.ahead = st.t_slot;
          t.word      = top.next ? pushed : '0;
          t.grp       = group_of(top.next ? top.next_key : st.t_key);
        end
        if (st.e_in) t.word = top.word | one(low_t'(st.t_key));
        if (st.e_before) begin
          t.word = one(low_t'(st.t_key));
          t.grp  = group_of(st.t_key);
        end
        if (st.e_fresh) begin
          fresh_word                 = 1'b1;
          out.wr.word_grp            = group_of(st.t_key);
          t.sums[group_of(st.t_key)] = 1'b1;
        end
      end

      `include "step_change.svh"

      PH_SET: out.st.ph = PH_IDLE;

      default: ;
    endcase
    if (st.chase && st.ph != PH_ACT) out.ra.slot = after;

    out.st.t[st.side] = t;
    if (st.ph == PH_B3) begin
      out.st.t         = st.t;
      out.st.t[0].sums = rd.sums[0];
      out.st.t[1].sums = rd.sums[1];
    end
`ifdef PLANTED_THROUGH
    if (st.index != '0 && !st.t_side) out.st.crosses = top.best;
`endif
    // A bitmap's word that changes is written, with what is known of the groups.
    if (fresh_word) begin
      out.wr.word_en   = 1'b1;
      out.wr.word_side = st.side;
      out.wr.word      = st.line;
      out.wr.sums_en   = 1'b1;
      out.wr.sums[0]   = out.st.t[0].sums;
      out.wr.sums[1]   = out.st.t[1].sums;
    end
  end
endmodule

`default_nettype wire
