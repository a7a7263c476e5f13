// A RAM with one read and one write port and a registered output: what is addressed in cycle n is on `rdata` in cycle n + 2.
//
// A read in the cycle of a write to the same word is undefined (block RAMs differ): the datapath never relies on one. In
// simulation such a read answers the complement of the word, so that relying on it shows.
//
// Portable form: tools for UltraScale+, Agilex and the like map it to block RAM with the output register in the block. For
// ECP5, where inference leaves the register out, define KERNEL_ECP5 and add kernel_ram_ecp5.sv.
// Preconditions: WIDTH >= 1, DEPTH >= 2.
`default_nettype none

module kernel_ram #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,
    localparam int ADDR = $clog2(DEPTH)
) (
    input  wire logic             clk,
    input  wire logic             we,
    input  wire logic [ADDR-1:0]  waddr,
    input  wire logic [WIDTH-1:0] wdata,
    input  wire logic [ADDR-1:0]  raddr,
    output wire logic [WIDTH-1:0] rdata
);
`ifdef KERNEL_ECP5
  kernel_ram_ecp5 #(.WIDTH(WIDTH), .DEPTH(DEPTH)) u_blocks (.*);
`else
  logic [WIDTH-1:0] mem[DEPTH];
  logic [WIDTH-1:0] read, held;
  assign rdata = held;
  always_ff @(posedge clk) begin
    if (we) mem[waddr] <= wdata;
`ifdef VERILATOR
    read <= (we && waddr == raddr) ? ~mem[raddr] : mem[raddr];
`else
    read <= mem[raddr];
`endif
    held <= read;
  end
`endif
endmodule

`default_nettype wire
