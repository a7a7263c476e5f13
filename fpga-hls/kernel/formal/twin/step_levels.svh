// Phases of step_twin.sv in which the levels of a side are found: the best goes and the next moves up (LV), the next group that has one (G), a side's
// best from nothing (T), another book (B).
      // A level is taken out: the second level moves up, the word's lowest becomes the second.
      PH_LV1: begin
        out.st.ph = PH_LV2;
        if (st.advance) begin
          t.next     = st.low_any;
          t.next_key = {top.grp, st.low};
          t.word     = top.word & ~one(st.low);
        end else if (group_of(st.gone_key) == top.grp) t.word = top.word & ~one(low_t'(st.gone_key));
      end
      PH_LV2: begin
        out.st.ph   = PH_LV3;
        out.st.line = rd.word & ~one(low_t'(st.gone_key));
        if (st.load) begin
          t.slot      = top.ahead;
          out.st.late = 1'b1;
          t.is_last = rd.is_last;
          t.ahead   = rd.next;
        end
      end
      PH_LV3: begin
        out.st.ph = st.advance && !top.next ? PH_G1 : resume(st.ret);
        if (st.advance && top.next) t.next_head = rd.head;
        if (top.is_last) t.ahead = t.next_head;
        out.ra.slot = t.ahead;
        if (st.clear) begin
          if (st.line == '0) t.sums[group_of(st.gone_key)] = 1'b0;
          fresh_word      = 1'b1;
          out.wr.word_grp = group_of(st.gone_key);
        end
      end

      // The next group that has a level.
      PH_G1: out.st.ph = PH_G2;
      PH_G2: out.st.ph = PH_G3;
      PH_G3:
        if (!st.group_none) out.st.ph = PH_G4;
        else begin
          out.st.ph = resume(st.ret);
          if (st.rebuild) begin
            t.best = 1'b0;
            t.next = 1'b0;
            t.word = '0;
          end
          out.st.rebuild = 1'b0;
        end
      PH_G4: out.st.ph = PH_G5;
      PH_G5: begin
        out.st.ph = PH_G6;
        t.word    = rd.word;
        t.grp     = st.group;
      end
      PH_G6: begin
        out.st.ph      = st.rebuild ? PH_T1 : PH_LV1;
        out.st.clear   = 1'b0;
        out.st.advance = 1'b1;
        out.st.load    = 1'b0;
      end

      // A side's best, from nothing.
      PH_T1: begin
        out.st.ph  = PH_T2;
        t.best     = 1'b1;
        t.best_key = {top.grp, st.low};
        t.word     = top.word & ~one(st.low);
      end
      PH_T2: out.st.ph = PH_T3;
      PH_T3: begin
        out.st.ph      = PH_LV1;
        out.st.load    = 1'b1;
        out.st.rebuild = 1'b0;
        out.ra.slot    = rd.head;
        t.ahead        = rd.head;
      end

      // Another book: its groups, then both sides from nothing.
      PH_B1: out.st.ph = PH_B2;
      PH_B2: out.st.ph = PH_B3;
      PH_B3: begin
        out.st.ph      = PH_G1;
        out.st.ret     = RET_B4;
        out.st.side    = 1'b0;
        out.st.rebuild = 1'b1;
      end
      PH_B4: begin
        out.st.ph      = st.side ? PH_IDLE : PH_G1;
        out.st.side    = 1'b1;
        out.st.rebuild = 1'b1;
      end
