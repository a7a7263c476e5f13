// The kernel behind seven pins, for timing alone: 519 ports are more than a package has. Beats come from and go to shift
// registers, so that every path of the kernel begins and ends in a register of the same clock.
`default_nettype none

module timing_harness (
    input  wire logic clk,
    input  wire logic rst_pin,
    input  wire logic in_bit,
    input  wire logic in_valid,
    input  wire logic out_ready,
    output      logic out_bit,
    output      logic out_valid
);
  logic         rst, valid, ready, take, gives, gone, idle;
  logic [255:0] in_beat, out_beat, given;
  wirebook_kernel u_kernel (
      .clk, .rst, .s_axis_tvalid(valid), .s_axis_tready(take), .s_axis_tdata(in_beat),
      .m_axis_tvalid(gives), .m_axis_tready(ready), .m_axis_tdata(given), .idle
  );
  always_ff @(posedge clk) begin
    rst       <= rst_pin;
    valid     <= in_valid;
    ready     <= out_ready;
    gone      <= gives & ready;
    in_beat   <= {in_beat[254:0], in_bit ^ take};
    out_beat  <= gone ? given : {out_beat[254:0], idle};
    out_bit   <= out_beat[255];
    out_valid <= gone;
  end
endmodule

`default_nettype wire
