// What step_twin.sv decides of a live order that is cancelled, reduced or replaced: may it be, and what becomes of it.
    // ---- Verdicts of K2.
    only    = o.is_first && o.is_last;
    reduces = !st.k_bad && c.kind == REDUCE && !st.k_all;
    goes    = !st.k_bad && !reduces;
    enters  = goes && !st.k_all;
    level   = goes && only && (st.k_head || st.k_next);

    // ---- Verdicts of K1.
    k_key    = mirrored(o.side, key_t'(c.tick));
    nothing  = c.kind == REPLACE && c.relative && $signed(st.o_sum) <= 0;
    crossing = c.kind == REPLACE && c.post_only && far.best && far.best_key <= ~k_key;
    bad      = 1'b1;
    out.st.k_why = reason_t'(REASON_QTY_RANGE);
    if (!o.live) out.st.k_why = reason_t'(REASON_NO_ORDER);
    else if (o.owner != c.owner || o.book != c.book) out.st.k_why = reason_t'(REASON_NOT_YOURS);
    else if (c.kind == REPLACE && (slot_t'(c.slot) == c.slot2 || o.live2)) out.st.k_why = reason_t'(REASON_SLOT_LIVE);
    else if (c.late_bad) out.st.k_why = c.late;
    else if (c.kind == REPLACE && c.relative && !st.o_sum[32] && st.o_sum[31:0] > max_qty) ;
    else begin
      bad          = 1'b0;
      out.st.k_why = crossing && !nothing ? reason_t'(REASON_POST_ONLY) : reason_t'(REASON_USER);
    end
    if (st.ph != PH_K1) out.st.k_why = st.k_why;
