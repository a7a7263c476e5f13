// The command stream's receiver: two beats, so that `s_axis_tready` is a register. A beat is on `beat` in the cycle after its
// transfer, and stays until `take`.
`default_nettype none

module kernel_in (
    input  wire logic         clk,
    input  wire logic         rst,
    input  wire logic         open,            // the RAMs are clear: beats may come
    input  wire logic         s_axis_tvalid,
    output      logic         s_axis_tready,
    input  wire logic [255:0] s_axis_tdata,
    output      logic         valid,
    output      logic [255:0] beat,
    output wire logic [255:0] ahead,           // what `beat` is in the next cycle
    input  wire logic         take,            // only when valid
    output wire logic         empty
);
  logic         spare_valid;
  logic [255:0] spare;
  wire          comes = s_axis_tvalid & s_axis_tready;
  wire          moves = take | ~valid;         // what comes, or what is spare, becomes the beat

  assign ahead = ~moves ? beat : spare_valid ? spare : s_axis_tdata;
  assign empty = ~valid & ~spare_valid;
  always_ff @(posedge clk) begin
    beat <= ahead;
    if (moves) valid <= spare_valid | comes;
    if (comes) spare <= s_axis_tdata;
    spare_valid   <= moves ? 1'b0 : spare_valid | comes;
    s_axis_tready <= open & (moves | ~(spare_valid | comes));
    if (rst) begin
      valid         <= 1'b0;
      spare_valid   <= 1'b0;
      s_axis_tready <= 1'b0;
    end
  end
endmodule

`default_nettype wire
