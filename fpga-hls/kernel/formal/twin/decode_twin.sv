// The decoder, written again by hand from the tables of src/abi: what a command beat says, and the first check that it fails of those
// that need no memory. `case` by kind, where the DSLX has one expression a field. Nothing of gen/ is used but the type of the answer.
//
// PLANTED_DECODE: the slot's range is checked before the instrument's.
`default_nettype none

module decode_twin
  import kernel_pkg::*;
(
    input  wire logic [255:0] beat,
    input  wire lim_t         lim,
    output      cmd_t         out
);
  // The beat, byte by byte, little-endian.
  wire [63:0] seq        = beat[63:0];
  wire [15:0] instrument = beat[79:64];
  wire [15:0] owner      = beat[95:80];
  wire [31:0] slot       = beat[127:96];
  wire [31:0] slot2      = beat[159:128];
  wire [31:0] tick       = beat[191:160];
  wire [31:0] qty        = beat[223:192];
  wire [7:0]  kind       = beat[231:224];
  wire [7:0]  manner     = beat[239:232];
  wire [7:0]  flags      = beat[247:240];
  wire [6:0]  ring       = beat[254:248];        // bit 255 is the ring's own

  wire [1:0]  tif        = manner[2:1];
  wire        post_only  = flags[2];
  wire        relative   = flags[3];

  logic flags_fit, has_tick, has_qty, names_book, names_slot2;
  always_comb begin
    // What the kind names, and which flags go with it.
    has_tick    = 1'b0;
    has_qty     = 1'b0;
    names_book  = 1'b1;
    names_slot2 = 1'b0;
    flags_fit   = tif == 2'd0 && flags == 8'd0;
    case (kind)
      8'd0: names_book = 1'b0;                                                    // nop
      8'd1: begin                                                                 // new
        has_tick  = 1'b1;
        has_qty   = !relative;
        flags_fit = tif != 2'd3 && !(post_only && tif != 2'd0) && !relative;
      end
      8'd2: ;                                                                     // cancel
      8'd3: has_qty = !relative;                                                       // reduce
      8'd4: begin                                                                 // replace
        has_tick    = 1'b1;
        has_qty     = !relative;
        names_slot2 = 1'b1;
        flags_fit   = tif < 2'd2 && !(post_only && tif != 2'd0);
      end
      default: ;
    endcase

    out           = '0;
    out.seq       = seq;
    out.book      = book_t'(instrument);
    out.owner     = owner;
    out.slot      = slot;
    out.slot2     = slot_t'(slot2);
    out.tick      = tick;
    out.qty       = qty;
    out.kind      = kind_t'(kind);
    out.side      = manner[0];
    out.key       = manner[0] ? key_t'(tick) : ~key_t'(tick);
    out.tif       = tif;
    out.mode      = owner == 16'd0 ? 2'd0 : flags[1:0];
    out.post_only = post_only;
    out.relative  = relative;
    out.is_new    = kind == 8'd1;

    // The first that fails, in the order of the table.
    out.early_bad = 1'b1;
    if (kind > 8'd4) out.early = 5'd1;
    else if (|manner[7:3] || |flags[7:4] || |ring) out.early = 5'd2;
    else if (!flags_fit) out.early = 5'd3;
`ifdef PLANTED_DECODE
    else if (names_book && slot >= lim.slots) out.early = 5'd5;
`endif
    else if (names_book && 32'(instrument) >= lim.books) out.early = 5'd4;
    else if (names_book && (slot >= lim.slots || (names_slot2 && slot2 >= lim.slots))) out.early = 5'd5;
    else begin
      out.early_bad = 1'b0;
      out.early     = 5'd5;
    end
    out.late_bad  = 1'b1;
    if (has_tick && tick >= lim.ticks) out.late = 5'd9;
    else begin
      out.late     = 5'd10;
      out.late_bad = has_qty && (qty == 32'd0 || qty > lim.max_qty);
    end
    out.uses_book = names_book && lim.books != 32'd1 && 32'(instrument) < lim.books;   // where there are books to choose from
  end
endmodule

`default_nettype wire
