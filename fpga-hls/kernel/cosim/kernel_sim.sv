// What is Verilated: the kernel, with its limits taken at reset into registers, as a card's shell would hold them. From outside only the
// streams reach into a cycle then, and a simulator need not work the datapath out again for each look at its inputs.
// Preconditions: those of kernel_core; the limits are stable in the reset's first cycle, and reset lasts two.
`default_nettype none

module kernel_sim #(
    parameter int TICKS  = 4096,
    parameter int ORDERS = 16384,
    parameter int BOOKS  = 1
) (
    input  wire logic                clk,
    input  wire logic                rst,
    input  wire logic [31:0]         cfg_slots,
    input  wire logic [31:0]         cfg_max_qty,
    input  wire logic [31:0]         cfg_books,
    input  wire logic [BOOKS*32-1:0] cfg_ticks,
    input  wire logic                s_axis_tvalid,
    output wire logic                s_axis_tready,
    input  wire logic [255:0]        s_axis_tdata,
    output wire logic                m_axis_tvalid,
    input  wire logic                m_axis_tready,
    output wire logic [255:0]        m_axis_tdata,
    output wire logic                idle
);
  logic [31:0]         slots, max_qty, books;
  logic [BOOKS*32-1:0] ticks;
  always_ff @(posedge clk) begin
    if (rst) begin
      slots   <= cfg_slots;
      max_qty <= cfg_max_qty;
      books   <= cfg_books;
      ticks   <= cfg_ticks;
    end
  end
  kernel_core #(.TICKS(TICKS), .ORDERS(ORDERS), .BOOKS(BOOKS)) core (
      .clk, .rst, .cfg_slots(slots), .cfg_max_qty(max_qty), .cfg_books(books), .cfg_ticks(ticks),
      .s_axis_tvalid, .s_axis_tready, .s_axis_tdata, .m_axis_tvalid, .m_axis_tready, .m_axis_tdata, .idle
  );
endmodule

`default_nettype wire
