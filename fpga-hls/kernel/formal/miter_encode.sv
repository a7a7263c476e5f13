// wb_encode and its twin on any event.
module miter_encode
  import kernel_pkg::*;
(
    input wire ev_t ev
);
  logic [255:0] a, b;
  wb_encode u_made (.ev(ev), .out(a));
  encode_twin u_hand (.ev, .out(b));
  always_comb assert (a == b);
endmodule
