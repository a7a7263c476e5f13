// The event stream's sender: a queue of DEPTH beats behind an output register. A beat put into an empty sender is on the stream
// in the next cycle. `ok` promises room for three more, so that it can be a register: whoever looks at it may put one each
// cycle in which it was set.
// Preconditions: DEPTH is a power of two, 8 at least.
`default_nettype none

module kernel_out #(
    parameter int DEPTH = 16,
    localparam int ADDR = $clog2(DEPTH)
) (
    input  wire logic         clk,
    input  wire logic         rst,
    input  wire logic         put,
    input  wire logic [255:0] beat,
    output      logic         ok,
    output      logic         m_axis_tvalid,
    input  wire logic         m_axis_tready,
    output      logic [255:0] m_axis_tdata,
    output wire logic         empty
);
  logic [255:0]    mem[DEPTH];
  logic [ADDR-1:0] wp, rp;
  logic            queued;                     // the queue holds something: wp != rp, or it is full
  logic [ADDR:0]   held;                       // beats in the queue
  wire             moves = ~m_axis_tvalid | m_axis_tready;
  wire             enters = put & (queued | ~moves);
  wire             leaves = moves & queued;
  wire  [ADDR:0]   next_held = held + (ADDR + 1)'(enters) - (ADDR + 1)'(leaves);

  assign empty = ~m_axis_tvalid & ~queued;
  always_ff @(posedge clk) begin
    if (enters) mem[wp] <= beat;
    if (moves) begin
      m_axis_tdata  <= queued ? mem[rp] : beat;
      m_axis_tvalid <= queued | put;
    end
    wp     <= wp + ADDR'(enters);
    rp     <= rp + ADDR'(leaves);
    held   <= next_held;
    queued <= next_held != 0;
    ok     <= next_held <= (ADDR + 1)'(DEPTH - 3);
    if (rst) begin
      wp            <= '0;
      rp            <= '0;
      held          <= '0;
      queued        <= 1'b0;
      ok            <= 1'b0;
      m_axis_tvalid <= 1'b0;
    end
  end
endmodule

`default_nettype wire
