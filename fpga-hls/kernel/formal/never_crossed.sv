// The whole kernel, small, from reset, on any beats: the book is never crossed at rest, in so many cycles. Bounded model checking.
//
// The host keeps its contract (contract.svh, made of src/abi/contract.rs); once it has not, nothing more is claimed. The reader always reads: gaps
// on the event stream are the co-simulation's part.
`default_nettype none

module never_crossed
  import kernel_pkg::*;
#(
    parameter int TICKS  = 4,
    parameter int ORDERS = 4,
    parameter int BOOKS  = 1
) (
    input wire logic         clk,
    input wire logic         s_axis_tvalid,
    input wire logic [255:0] s_axis_tdata
);
  // One choice of limits: the tiny book of the enumeration.
  wire [31:0] cfg_slots = 32'd3, cfg_max_qty = 32'd2, cfg_books = 32'd1, cfg_ticks = 32'd3;

  logic         begun = 1'b0, was_rst = 1'b0, was_s_axis_tvalid = 1'b0, was_s_axis_tready = 1'b0, faithful = 1'b1;
  logic [255:0] was_s_axis_tdata = '0;
  logic [31:0]  was_cfg_slots = '0, was_cfg_max_qty = '0, was_cfg_books = '0, was_cfg_ticks = '0;
  wire          rst = !begun;
  wire          s_axis_tready, m_axis_tvalid, idle;
  wire  [255:0] m_axis_tdata;
  kernel_core #(.TICKS(TICKS), .ORDERS(ORDERS), .BOOKS(BOOKS)) u (.m_axis_tready(1'b1), .*);

  `include "contract.svh"
  always_ff @(posedge clk) begin
    begun             <= 1'b1;
    was_rst           <= rst;
    was_s_axis_tvalid <= s_axis_tvalid;
    was_s_axis_tready <= s_axis_tready;
    was_s_axis_tdata  <= s_axis_tdata;
    was_cfg_slots     <= cfg_slots;
    was_cfg_max_qty   <= cfg_max_qty;
    was_cfg_books     <= cfg_books;
    was_cfg_ticks     <= cfg_ticks;
    faithful          <= faithful && contract;
  end

  wire at_rest = begun && u.open && u.st.ph == PH_IDLE;
  wire crossed = u.st.t[0].best && u.st.t[1].best && ~u.st.t[0].best_key >= u.st.t[1].best_key;
  always_comb assert (!(faithful && contract && at_rest && crossed));
endmodule

`default_nettype wire
