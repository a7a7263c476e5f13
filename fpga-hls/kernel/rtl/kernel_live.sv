// Whether the slot of the command that is taken holds a live order: answered two cycles after `take`'s first cycle, as a RAM
// would, but from a register that stands beside the datapath, and kept until the next `take`.
//
// The RAM is read a cycle ahead, by the slot of the beat that is about to stand in the beat register. A write of that very slot in
// the cycle of the read is forwarded; later writes cannot concern a command that is not taken yet, as it is read again each
// cycle that it waits.
`default_nettype none

module kernel_live #(
    parameter int DEPTH = 16,
    localparam int ADDR = $clog2(DEPTH)
) (
    input  wire logic            clk,
    input  wire logic            we,
    input  wire logic [ADDR-1:0] waddr,
    input  wire logic            wdata,
    input  wire logic [ADDR-1:0] ahead,       // slot of the beat that will stand in the beat register next cycle
    input  wire logic            take,        // the beat register's command is taken
    output      logic            live
);
  logic answer, took;
  logic [1:0] hit, to;
  kernel_ram #(.WIDTH(1), .DEPTH(DEPTH)) u_ram (.clk, .we, .waddr, .wdata, .raddr(ahead), .rdata(answer));
  always_ff @(posedge clk) begin
    took <= take;
    hit  <= {hit[0], we & (waddr == ahead)};
    to   <= {to[0], wdata};
    if (took) live <= hit[1] ? to[1] : answer;
  end
endmodule

`default_nettype wire
