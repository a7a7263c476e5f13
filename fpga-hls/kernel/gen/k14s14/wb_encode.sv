// Made by kernel/gen.py from kernel/dslx. Not to be edited.
`default_nettype none

module wb_encode(
  input wire [202:0] ev,
  output wire [255:0] out
);
  wire literal_590;
  wire [13:0] ev_maker;
  wire ev_has_maker;
  wire [14:0] NO_SLOT_squeezed;
  wire [14:0] concat_594;
  wire [14:0] sel_595;
  wire [6:0] literal_596;
  wire ev_last;
  wire [5:0] literal_598;
  wire [1:0] ev_freed;
  wire [2:0] literal_600;
  wire [4:0] ev_reason;
  wire [4:0] literal_602;
  wire [2:0] ev_kind;
  wire [15:0] literal_604;
  wire [15:0] ev_index;
  wire [31:0] ev_qty;
  wire [31:0] ev_tick;
  wire [31:0] sign_ext_608;
  wire [31:0] ev_taker;
  wire [63:0] ev_seq;
  wire [255:0] concat_613;
  assign literal_590 = 1'h0;
  assign ev_maker = ev[77:64];
  assign ev_has_maker = ev[78:78];
  assign NO_SLOT_squeezed = 15'h7fff;
  assign concat_594 = {literal_590, ev_maker};
  assign sel_595 = ev_has_maker ? concat_594 : NO_SLOT_squeezed;
  assign literal_596 = 7'h00;
  assign ev_last = ev[129:129];
  assign literal_598 = 6'h00;
  assign ev_freed = ev[128:127];
  assign literal_600 = 3'h0;
  assign ev_reason = ev[134:130];
  assign literal_602 = 5'h00;
  assign ev_kind = ev[137:135];
  assign literal_604 = 16'h0000;
  assign ev_index = ev[126:111];
  assign ev_qty = ev[31:0];
  assign ev_tick = ev[63:32];
  assign sign_ext_608 = {{17{sel_595[14]}}, sel_595};
  assign ev_taker = ev[110:79];
  assign ev_seq = ev[201:138];
  assign concat_613 = {literal_596, ev_last, literal_598, ev_freed, literal_600, ev_reason, literal_602, ev_kind, literal_604, ev_index, ev_qty, ev_tick, sign_ext_608, ev_taker, ev_seq};
  assign out = concat_613;
endmodule

`default_nettype wire
