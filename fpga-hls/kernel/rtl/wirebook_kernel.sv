// The kernel with its limits fixed to its capacity: every instrument has TICKS ticks. What is synthesized for the report.
// Preconditions: those of kernel_core; 1 <= MAX_QTY <= 2**31 - 1.
`default_nettype none

module wirebook_kernel #(
    parameter int          TICKS   = 4096,
    parameter int          ORDERS  = 16384,
    parameter int          BOOKS   = 1,
    parameter logic [31:0] MAX_QTY = abi_pkg::MOST_QTY
) (
    input  wire logic         clk,
    input  wire logic         rst,
    input  wire logic         s_axis_tvalid,
    output wire logic         s_axis_tready,
    input  wire logic [255:0] s_axis_tdata,
    output wire logic         m_axis_tvalid,
    input  wire logic         m_axis_tready,
    output wire logic [255:0] m_axis_tdata,
    output wire logic         idle
);
  kernel_core #(.TICKS(TICKS), .ORDERS(ORDERS), .BOOKS(BOOKS)) u_core (
      .clk, .rst,
      .cfg_slots(32'(ORDERS)), .cfg_max_qty(MAX_QTY), .cfg_books(32'(BOOKS)), .cfg_ticks({BOOKS{32'(TICKS)}}),
      .s_axis_tvalid, .s_axis_tready, .s_axis_tdata, .m_axis_tvalid, .m_axis_tready, .m_axis_tdata, .idle
  );
endmodule

`default_nettype wire
