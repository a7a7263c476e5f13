// The kernel: beats in, beats out. Registers and RAMs around the datapath (gen/*/wb_*.sv), which decides everything.
//
// Cycle by cycle, of a command that finds the kernel idle (README.md has the table):
//   transfer | beat register, decoded, RAMs addressed | command register, compared | answered | event on m_axis
// Capacity (parameters) is what is built; limits (cfg_*) are what a command is checked against, and must stay the same from
// reset on. After reset the RAMs are cleared, `s_axis_tready` is low meanwhile: CLEAR cycles.
// Preconditions: 1 <= TICKS <= 2**KW, 1 <= ORDERS <= 2**SW, 1 <= BOOKS <= 2**BW (kernel_pkg); cfg_slots <= ORDERS,
// cfg_books <= BOOKS, each cfg_ticks <= TICKS, 1 <= cfg_max_qty <= 2**31 - 1.
`default_nettype none

module kernel_core
  import kernel_pkg::*;
#(
    parameter int TICKS  = 4096,
    parameter int ORDERS = 16384,
    parameter int BOOKS  = 1
) (
    input  wire logic                clk,
    input  wire logic                rst,            // synchronous; one cycle is enough
    input  wire logic [31:0]         cfg_slots,
    input  wire logic [31:0]         cfg_max_qty,
    input  wire logic [31:0]         cfg_books,
    input  wire logic [BOOKS*32-1:0] cfg_ticks,      // ticks of instrument i at [32 * i +: 32]
    input  wire logic                s_axis_tvalid,
    output wire logic                s_axis_tready,
    input  wire logic [255:0]        s_axis_tdata,
    output wire logic                m_axis_tvalid,
    input  wire logic                m_axis_tready,
    output wire logic [255:0]        m_axis_tdata,
    output wire logic                idle            // no command inside, no event waiting
);
  function automatic int atleast1(input int n);
    return n < 1 ? 1 : n;
  endfunction
  function automatic int most(input int a, input int b);
    return a > b ? a : b;
  endfunction

  // Address widths: of slots; of ticks and groups within one side; of levels and words, with book and side above.
  localparam int SA = atleast1($clog2(ORDERS));
  localparam int TA = $clog2(TICKS);
  localparam int GA = TA > LW ? TA - LW : 0;
  localparam int BA = $clog2(BOOKS);
  localparam int LA = BA + 1 + TA;
  localparam int WA = BA + 1 + GA;
  localparam int CA = most(SA, LA);                  // bits of the counter that clears
  localparam int CLEAR = 1 << CA;

  function automatic logic [LA-1:0] level(input book_t book, input logic side, input key_t key);
    return LA'((32'({book, side}) << TA) | (32'(key) & ((32'd1 << TA) - 1)));
  endfunction
  function automatic logic [WA-1:0] wordof(input book_t book, input logic side, input grp_t grp);
    return WA'((32'({book, side}) << GA) | (32'(grp) & ((32'd1 << GA) - 1)));
  endfunction

  // Clearing: a counter that writes zeros wherever a stale bit could be taken for an order or a level.
  logic          open;
  logic [CA-1:0] at;
  always_ff @(posedge clk) begin
    at <= open ? '0 : at + 1'b1;
    if (at == CA'(CLEAR - 1)) open <= 1'b1;
    if (rst) begin
      open <= 1'b0;
      at   <= '0;
    end
  end

  // Beats in, decoded against the limits of the instrument that they name.
  logic         in_valid, in_empty, ready;
  logic [255:0] in_beat, in_ahead;
  kernel_in u_in (
      .clk, .rst, .open, .s_axis_tvalid, .s_axis_tready, .s_axis_tdata,
      .valid(in_valid), .beat(in_beat), .ahead(in_ahead), .take(ready), .empty(in_empty)
  );
  lim_t        lim;
  cmd_t        cmd;
  wire  [15:0] named = in_beat[abi_pkg::COMMAND_INSTRUMENT_AT +: 16];
  logic [31:0] ticks;
  always_comb begin
    ticks = cfg_ticks[31:0];
    for (int i = 1; i < BOOKS; i++) if (named == 16'(i)) ticks = cfg_ticks[32*i +: 32];
  end
  assign lim = '{books: cfg_books, slots: cfg_slots, max_qty: cfg_max_qty, ticks: ticks};
  wb_decode u_decode (.beat(in_beat), .lim(lim), .out(cmd));

  // The state, and one step of it.
  state_t st;
  out_t   o;
  rd_t    rd;
  logic   ok;
  wr_t    wr;
  wb_step u_step (.st(st), .in_valid(in_valid), .cmd(cmd), .rd(rd), .ok(ok), .max_qty(cfg_max_qty), .out(o));
  assign ready = o.ready;
  always_ff @(posedge clk) begin
    st <= o.st;
    wr <= o.wr;
    if (rst) begin
      st         <= '0;
      st.ph      <= PH_IDLE;
      wr.live_en <= 1'b0;
      wr.tail_en <= 1'b0;
      wr.word_en <= 1'b0;
      wr.sums_en <= 1'b0;
    end
  end

  // Events out.
  logic [255:0] ev_beat;
  logic         out_empty;
  wb_encode u_encode (.ev(o.ev), .out(ev_beat));
  kernel_out u_out (
      .clk, .rst, .put(o.ev.valid), .beat(ev_beat), .ok, .m_axis_tvalid, .m_axis_tready, .m_axis_tdata, .empty(out_empty)
  );
  assign idle = open & in_empty & out_empty & (st.ph == PH_IDLE);

  // Orders, by slot.
  wire          clear = ~open;
  wire [SA-1:0] rs = SA'(o.ra.slot);
  wire [SA-1:0] rn = SA'(o.ra.named);
  logic [SA-1:0] rl;                                 // leaves and owner are read a cycle after the links
  always_ff @(posedge clk) rl <= rs;
  wire          live_we = clear | wr.live_en;
  wire [SA-1:0] live_at = clear ? SA'(at) : SA'(wr.live_slot);
  wire          live_to = ~clear & wr.live;
  kernel_live #(.DEPTH(1 << SA)) u_live (
      .clk, .we(live_we), .waddr(live_at), .wdata(live_to), .ahead(SA'(in_ahead[abi_pkg::COMMAND_SLOT_AT +: SW])),
      .take(ready), .live(rd.live)
  );
  kernel_ram #(.WIDTH(1), .DEPTH(1 << SA)) u_live2 (
      .clk, .we(live_we), .waddr(live_at), .wdata(live_to), .raddr(SA'(o.ra.live2)), .rdata(rd.live2)
  );
  kernel_ram #(.WIDTH(QW), .DEPTH(1 << SA)) u_leaves (
      .clk, .we(wr.leaves_en), .waddr(SA'(wr.leaves_slot)), .wdata(wr.leaves), .raddr(rl), .rdata(rd.leaves)
  );
  kernel_ram #(.WIDTH(16), .DEPTH(1 << SA)) u_owner (
      .clk, .we(wr.tag_en), .waddr(SA'(wr.tag_slot)), .wdata(wr.owner), .raddr(rl), .rdata(rd.owner)
  );
  kernel_ram #(.WIDTH(1 + KW), .DEPTH(1 << SA)) u_place (
      .clk, .we(wr.tag_en), .waddr(SA'(wr.tag_slot)), .wdata({wr.side, wr.key}), .raddr(rn), .rdata({rd.side, rd.key})
  );
  kernel_ram #(.WIDTH(1 + SW), .DEPTH(1 << SA)) u_next (
      .clk, .we(wr.next_en), .waddr(SA'(wr.next_slot)), .wdata({wr.is_last, wr.next}), .raddr(rs),
      .rdata({rd.is_last, rd.next})
  );
  kernel_ram #(.WIDTH(1 + SW), .DEPTH(1 << SA)) u_prev (
      .clk, .we(wr.prev_en), .waddr(SA'(wr.prev_slot)), .wdata({wr.is_first, wr.prev}), .raddr(rn),
      .rdata({rd.is_first, rd.prev})
  );

  // Levels, by book, side and key.
  kernel_ram #(.WIDTH(SW), .DEPTH(1 << LA)) u_head (
      .clk, .we(wr.head_en), .waddr(level(wr.book, wr.head_side, wr.head_key)), .wdata(wr.head),
      .raddr(level(o.ra.book, o.ra.head_side, o.ra.head_key)), .rdata(rd.head)
  );
  kernel_ram #(.WIDTH(1 + SW), .DEPTH(1 << LA)) u_tail (
      .clk, .we(clear | wr.tail_en), .waddr(clear ? LA'(at) : level(wr.book, wr.tail_side, wr.tail_key)),
      .wdata({~clear & wr.tail_any, wr.tail}),
      .raddr(level(o.ra.book, o.ra.tail_side, o.ra.tail_key)), .rdata({rd.tail_any, rd.tail})
  );

  // Bitmaps: which ticks of a group have a level; which groups of a book have any, where there is more than one book.
  kernel_ram #(.WIDTH(WORD), .DEPTH(1 << WA)) u_word (
      .clk, .we(clear | wr.word_en), .waddr(clear ? WA'(at) : wordof(wr.book, wr.word_side, wr.word_grp)),
      .wdata(clear ? '0 : wr.word), .raddr(wordof(o.ra.book, o.ra.word_side, o.ra.word_grp)), .rdata(rd.word)
  );
  if (BOOKS > 1) begin : g_books
    kernel_ram #(.WIDTH(BA), .DEPTH(1 << SA)) u_book (
        .clk, .we(wr.tag_en), .waddr(SA'(wr.tag_slot)), .wdata(BA'(wr.book)), .raddr(rn), .rdata(rd.book[BA-1:0])
    );
    if (BA < BW) assign rd.book[BW-1:BA] = '0;
    kernel_ram #(.WIDTH(2 * GROUPS), .DEPTH(1 << BA)) u_sums (
        .clk, .we(clear | wr.sums_en), .waddr(clear ? BA'(at) : BA'(wr.book)), .wdata(clear ? '0 : wr.sums),
        .raddr(BA'(o.ra.book)), .rdata(rd.sums)
    );
  end else begin : g_book
    assign rd.book = '0;
    assign rd.sums = '0;
  end
endmodule

`default_nettype wire
