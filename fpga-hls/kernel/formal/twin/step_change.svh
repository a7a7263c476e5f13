// Phases of step_twin.sv in which a live order is cancelled, reduced or replaced. What they decide is in change_verdicts.svh.
      // An order is changed: read, judged, answered.
      PH_K0: begin
        out.st.ph   = PH_KL;
        out.st.side = rd.side;
        out.st.o    = '{live: rd.live, live2: rd.live2, leaves: o.leaves, owner: o.owner, book: rd.book, side: rd.side, key: rd.key,
                        is_last: rd.is_last, next: rd.next, is_first: rd.is_first, prev: rd.prev};
      end
      PH_KL: begin
        out.st.ph       = PH_K1;
        out.st.o.leaves = rd.leaves;
        out.st.o.owner  = rd.owner;
        out.st.o_sum    = 33'(rd.leaves) + {c.qty[31], c.qty};
        out.st.o_rest   = rd.leaves - qty_t'(c.qty);
        out.st.o_all    = 32'(rd.leaves) <= c.qty;
      end
      PH_K1: begin
        out.st.ph       = PH_K2;
        out.ra.word_grp = group_of(o.key);
        out.st.t_slot   = c.slot2;
        out.st.t_side   = o.side;
        out.st.t_key    = k_key;
        out.st.k_bad    = bad;
        case (c.kind)
          REPLACE: out.st.k_all = nothing || crossing;
          REDUCE:  out.st.k_all = st.o_all;
          default:               out.st.k_all = 1'b1;
        endcase
        out.st.k_head   = top.best && o.key == top.best_key && o.is_first;
        out.st.k_second = top.best && o.key == top.best_key && !o.is_first && o.prev == top.slot;
        out.st.k_next   = top.next && o.key == top.next_key;
        out.st.k_left   = c.relative ? qty_t'(st.o_sum) : qty_t'(c.qty);
      end
      PH_K2: begin
        out.ra.word_grp = group_of(o.key);
        out.st.ret      = st.k_all ? RET_SET : RET_ENT;
        if (ok) begin
          out.ev.valid  = 1'b1;
          out.st.index  = st.index + 1'b1;
          out.ev.last   = !enters;
          out.ev.taker  = enters ? 32'(c.slot2) : c.slot;
          out.ev.maker  = slot_t'(c.slot);
          out.ev.reason = st.k_why;
          if (st.k_bad) begin
            out.ev.kind = kind_t'(EVENT_REJECTED);
            out.ev.tick = c.tick;
            out.ev.qty  = c.qty;
          end else if (reduces) begin
            out.ev.kind   = kind_t'(EVENT_REDUCED);
            out.ev.reason = '0;
            out.ev.tick   = 32'(mirrored(o.side, o.key));
            out.ev.qty    = c.qty;
          end else if (enters) begin
            out.ev.kind      = kind_t'(EVENT_REPLACED);
            out.ev.reason    = '0;
            out.ev.has_maker = 1'b1;
            out.ev.freed     = 2'b01;
            out.ev.tick      = c.tick;
            out.ev.qty       = 32'(st.k_left);
          end else begin
            out.ev.kind  = kind_t'(EVENT_CANCELLED);
            out.ev.freed = 2'b10;
            out.ev.tick  = 32'(mirrored(o.side, o.key));
            out.ev.qty   = 32'(o.leaves);
          end

          out.st.checks = 1'b0;
          out.st.left   = st.k_left;
          if (st.k_bad) out.st.ph = PH_IDLE;
          else if (goes && (only || st.k_head)) out.st.ph = PH_LV1;
          else if (enters) out.st.ph = PH_ENT;
          else out.st.ph = PH_SET;

          if (reduces) begin
            if (st.k_head) t.leaves = st.o_rest;
            out.wr.leaves_en   = 1'b1;
            out.wr.leaves_slot = slot_t'(c.slot);
            out.wr.leaves      = st.o_rest;
          end
          if (goes) begin
            out.st.gone_key = o.key;
            if (only || st.k_head) begin
              out.st.clear   = only;
              out.st.advance = level;
              out.st.load    = st.k_head && (!only || top.next);
            end
            if (st.k_head && only) begin
              t.best     = top.next;
              t.best_key = top.next_key;
            end
            if (st.k_second) begin
              t.is_last = o.is_last;
              t.ahead   = o.is_last ? top.next_head : o.next;
            end
            if (st.k_next && only) t.next = 1'b0;
            if (st.k_next && o.is_first && !o.is_last) begin
              t.next_head = o.next;
              if (top.is_last) t.ahead = o.next;
            end
            out.wr.live_en   = 1'b1;
            out.wr.live_slot = slot_t'(c.slot);
            if (!o.is_first) begin
              out.wr.next_en   = 1'b1;
              out.wr.next_slot = o.prev;
              out.wr.is_last   = o.is_last;
              out.wr.next      = o.next;
            end
            if (!o.is_last) begin
              out.wr.prev_en   = 1'b1;
              out.wr.prev_slot = o.next;
              out.wr.is_first  = o.is_first;
              out.wr.prev      = o.prev;
            end
            if (o.is_first && !o.is_last) begin
              out.wr.head_en   = 1'b1;
              out.wr.head_side = st.side;
              out.wr.head_key  = o.key;
              out.wr.head      = o.next;
            end
            if (o.is_last) begin
              out.wr.tail_en   = 1'b1;
              out.wr.tail_side = st.side;
              out.wr.tail_key  = o.key;
              out.wr.tail_any  = !o.is_first;
              out.wr.tail      = o.prev;
            end
          end
        end
      end
      PH_ENT: begin
        out.st.ph   = PH_CMP;
        out.st.side = ~st.t_side;
        out.ra.slot = st.t[~st.t_side].ahead;
      end
