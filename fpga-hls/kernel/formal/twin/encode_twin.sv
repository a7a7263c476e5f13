// The encoder, written again by hand from the event's table of src/abi.
//
// PLANTED_ENCODE: an event without a maker names slot 0.
`default_nettype none

module encode_twin
  import kernel_pkg::*;
(
    input  wire ev_t          ev,
    output      logic [255:0] out
);
  always_comb begin
    out            = '0;
    out[63:0]      = ev.seq;
    out[95:64]     = ev.taker;
`ifdef PLANTED_ENCODE
    out[127:96]    = ev.has_maker ? 32'(ev.maker) : '0;
`else
    out[127:96]    = ev.has_maker ? 32'(ev.maker) : '1;
`endif
    out[159:128]   = ev.tick;
    out[191:160]   = ev.qty;
    out[223:192]   = 32'(ev.index);
    out[231:224]   = 8'(ev.kind);
    out[239:232]   = 8'(ev.reason);
    out[247:240]   = 8'(ev.freed);
    out[255:248]   = 8'(ev.last);
  end
endmodule

`default_nettype wire
