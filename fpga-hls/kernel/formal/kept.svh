// What holds of every state that the kernel can be in, and is kept by each step (miter_step shows both): outside of it nothing is compared.
// A command is what the decoder can make of a beat (miter_decode shows it).
function automatic logic made(input cmd_t c);
  return !(c.kind == kind_t'(abi_pkg::KIND_NOP) && c.late_bad) && (c.early_bad || c.is_new == (c.kind == kind_t'(abi_pkg::KIND_NEW)));
endfunction

function automatic logic kept(input state_t s);
  top_t top;
  logic phases, verdicts, level, change, to_count, of_command;
  top      = s.t[s.side];
  to_count = s.c.is_new && s.c.tif == abi_pkg::TIF_FOK && !s.counted;
  of_command = s.x_fok == to_count && s.x_bad == (s.checks && (s.c.early_bad || s.c.late_bad)) && s.x_new == (s.checks && s.c.is_new)
            && s.x_nop == (s.checks && !s.c.early_bad && s.c.kind == kind_t'(abi_pkg::KIND_NOP)) && s.x_post == (s.checks && s.c.post_only);
  phases   = $onehot(s.ph) && $onehot0(s.ret)
          && ($onehot(s.ret) || (s.ph & (PH_LV1 | PH_LV2 | PH_LV3 | PH_G1 | PH_G2 | PH_G3 | PH_G4 | PH_G5 | PH_G6 | PH_T1 | PH_T2 | PH_T3 | PH_B4)) == 0);
  // CMP's answers go together; the read-ahead follows the queue where there is one.
  verdicts = !(s.x_nop && (s.x_bad || s.x_new)) && !(s.own_ends && !s.own) && !(s.own_newest && !s.own_ends)
          && (!s.kill || (!s.x_fok && !to_count)) && (s.ph != PH_ACT || of_command)
          && (!s.chase || s.ph == PH_ACT || s.ph == PH_K0) && (s.ph != PH_ACT || s.chase == !top.is_last)
          && (!s.late || s.ph == PH_CMP || s.ph == PH_SET || s.ph == PH_LV3);
  // R1's and K1's.
  level    = $onehot0({s.e_first, s.e_better, s.e_mid, s.e_in, s.e_before, s.e_append})
          && !(s.e_append && s.e_fresh) && (s.e_fresh || !(s.e_first || s.e_better || s.e_mid || s.e_in || s.e_before));
  change   = s.ph != PH_K2 || (!(s.k_second && s.o.is_first) && !(s.k_head && !s.o.is_first));
  return phases && verdicts && level && change && made(s.c);
endfunction

function automatic state_t at_reset();
  at_reset    = '0;
  at_reset.ph = PH_IDLE;
endfunction
