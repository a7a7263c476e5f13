// kernel_ram of ECP5's DP16KD blocks with their output registers on, which inference leaves off: clock to output is then
// a register's instead of 5 ns. Port A writes, port B reads. A block is as deep as it can be, up to DEPTH, so that no
// multiplexer stands behind the outputs.
// Preconditions: DEPTH is a power of two, 2 to 16384; WIDTH >= 1.
`default_nettype none

module kernel_ram_ecp5 #(
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
  // Bits a block gives at this depth, and where its address begins among the 14 address pins. (36 bits wide needs another mode.)
  localparam int BITS = DEPTH > 8192 ? 1 : DEPTH > 4096 ? 2 : DEPTH > 2048 ? 4 : DEPTH > 1024 ? 9 : 18;
  localparam int LOW = DEPTH > 8192 ? 0 : DEPTH > 4096 ? 1 : DEPTH > 2048 ? 2 : DEPTH > 1024 ? 3 : 4;
  localparam int BLOCKS = (WIDTH + BITS - 1) / BITS;

  // Eighteen bits wide, the two lowest address pins of a writing port are its byte enables.
  wire [13:0] wa = 14'(waddr) << LOW | (BITS == 18 ? 14'd3 : 14'd0);
  wire [13:0] ra = 14'(raddr) << LOW;
  wire [BLOCKS*18-1:0] din;
  wire [BLOCKS*18-1:0] dout;

  for (genvar i = 0; i < BLOCKS; i++) begin : g_block
    localparam int HERE = WIDTH - i * BITS < BITS ? WIDTH - i * BITS : BITS;
    assign din[i*18+:18] = 18'(wdata[i*BITS+:HERE]);
    assign rdata[i*BITS+:HERE] = dout[i*18+:HERE];
    DP16KD #(
        .DATA_WIDTH_A(BITS), .DATA_WIDTH_B(BITS), .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
        .RESETMODE("SYNC"), .ASYNC_RESET_RELEASE("SYNC"), .CSDECODE_A("0b000"), .CSDECODE_B("0b000"),
        .WRITEMODE_A("NORMAL"), .WRITEMODE_B("NORMAL"), .GSR("DISABLED")
    ) u_block (
        .CLKA(clk), .CEA(1'b1), .OCEA(1'b1), .WEA(we), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
        .ADA0(wa[0]), .ADA1(wa[1]), .ADA2(wa[2]), .ADA3(wa[3]), .ADA4(wa[4]), .ADA5(wa[5]), .ADA6(wa[6]),
        .ADA7(wa[7]), .ADA8(wa[8]), .ADA9(wa[9]), .ADA10(wa[10]), .ADA11(wa[11]), .ADA12(wa[12]), .ADA13(wa[13]),
        .DIA0(din[i*18]), .DIA1(din[i*18+1]), .DIA2(din[i*18+2]), .DIA3(din[i*18+3]), .DIA4(din[i*18+4]),
        .DIA5(din[i*18+5]), .DIA6(din[i*18+6]), .DIA7(din[i*18+7]), .DIA8(din[i*18+8]), .DIA9(din[i*18+9]),
        .DIA10(din[i*18+10]), .DIA11(din[i*18+11]), .DIA12(din[i*18+12]), .DIA13(din[i*18+13]),
        .DIA14(din[i*18+14]), .DIA15(din[i*18+15]), .DIA16(din[i*18+16]), .DIA17(din[i*18+17]),
        .CLKB(clk), .CEB(1'b1), .OCEB(1'b1), .WEB(1'b0), .RSTB(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),
        .ADB0(ra[0]), .ADB1(ra[1]), .ADB2(ra[2]), .ADB3(ra[3]), .ADB4(ra[4]), .ADB5(ra[5]), .ADB6(ra[6]),
        .ADB7(ra[7]), .ADB8(ra[8]), .ADB9(ra[9]), .ADB10(ra[10]), .ADB11(ra[11]), .ADB12(ra[12]), .ADB13(ra[13]),
        .DOB0(dout[i*18]), .DOB1(dout[i*18+1]), .DOB2(dout[i*18+2]), .DOB3(dout[i*18+3]), .DOB4(dout[i*18+4]),
        .DOB5(dout[i*18+5]), .DOB6(dout[i*18+6]), .DOB7(dout[i*18+7]), .DOB8(dout[i*18+8]), .DOB9(dout[i*18+9]),
        .DOB10(dout[i*18+10]), .DOB11(dout[i*18+11]), .DOB12(dout[i*18+12]), .DOB13(dout[i*18+13]),
        .DOB14(dout[i*18+14]), .DOB15(dout[i*18+15]), .DOB16(dout[i*18+16]), .DOB17(dout[i*18+17])
    );
  end
endmodule

`default_nettype wire
