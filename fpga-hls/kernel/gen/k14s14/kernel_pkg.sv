// Made by kernel/gen.py from kernel/dslx. Not to be edited.
`default_nettype none

package kernel_pkg;
  localparam int KW = 14;
  localparam int SW = 14;
  localparam int LW = 7;
  localparam int BW = 8;
  localparam int GW = 7;
  localparam int WORD = 128;
  localparam int GROUPS = 128;
  localparam int QW = 31;
  localparam int IW = 16;
  typedef logic [13:0] key_t;
  typedef logic [6:0] low_t;
  typedef logic [6:0] grp_t;
  typedef logic [127:0] word_t;
  typedef logic [127:0] sums_t;
  typedef logic [13:0] slot_t;
  typedef logic [7:0] book_t;
  typedef logic [30:0] qty_t;
  typedef logic [15:0] index_t;
  typedef logic [2:0] kind_t;
  typedef logic [4:0] reason_t;
  typedef struct packed { logic [31:0] books; logic [31:0] slots; logic [31:0] max_qty; logic [31:0] ticks; } lim_t;
  typedef struct packed { logic [63:0] seq; book_t book; logic [15:0] owner; logic [31:0] slot; slot_t slot2; logic [31:0] tick; logic [31:0] qty; kind_t kind; logic side; key_t key; logic [1:0] tif; logic [1:0] mode; logic post_only; logic relative; logic is_new; logic early_bad; reason_t early; logic late_bad; reason_t late; logic uses_book; } cmd_t;
  typedef struct packed { logic valid; logic [63:0] seq; kind_t kind; reason_t reason; logic last; logic [1:0] freed; index_t index; logic [31:0] taker; logic has_maker; slot_t maker; logic [31:0] tick; logic [31:0] qty; } ev_t;
  typedef struct packed { logic best; key_t best_key; slot_t slot; qty_t leaves; logic [15:0] owner; logic is_last; slot_t ahead; logic next; key_t next_key; slot_t next_head; word_t word; grp_t grp; sums_t sums; } top_t;
  typedef struct packed { logic live; logic live2; qty_t leaves; logic [15:0] owner; book_t book; logic side; key_t key; logic is_last; slot_t next; logic is_first; slot_t prev; } order_t;
  typedef logic [4:0] ph_t;
  localparam ph_t PH_IDLE = 0;
  localparam ph_t PH_CMP = 1;
  localparam ph_t PH_ACT = 2;
  localparam ph_t PH_LV1 = 3;
  localparam ph_t PH_LV2 = 4;
  localparam ph_t PH_LV3 = 5;
  localparam ph_t PH_G1 = 6;
  localparam ph_t PH_G2 = 7;
  localparam ph_t PH_G3 = 8;
  localparam ph_t PH_G4 = 9;
  localparam ph_t PH_G5 = 10;
  localparam ph_t PH_G6 = 11;
  localparam ph_t PH_T1 = 12;
  localparam ph_t PH_T2 = 13;
  localparam ph_t PH_T3 = 14;
  localparam ph_t PH_R1 = 15;
  localparam ph_t PH_R2 = 16;
  localparam ph_t PH_K0 = 17;
  localparam ph_t PH_K1 = 18;
  localparam ph_t PH_K2 = 19;
  localparam ph_t PH_ENT = 20;
  localparam ph_t PH_SET = 21;
  localparam ph_t PH_B1 = 22;
  localparam ph_t PH_B2 = 23;
  localparam ph_t PH_B3 = 24;
  localparam ph_t PH_B4 = 25;
  typedef logic [1:0] ret_t;
  localparam ret_t RET_CMP = 0;
  localparam ret_t RET_SET = 1;
  localparam ret_t RET_ENT = 2;
  localparam ret_t RET_B4 = 3;
  typedef struct packed { ph_t ph; ret_t ret; logic side; book_t cur; cmd_t c; index_t index; slot_t t_slot; logic t_side; key_t t_key; qty_t left; logic checks; logic counting; logic counted; logic kill; logic crosses; logic le; logic ge; logic own; qty_t m_rest; qty_t t_rest; key_t gone_key; logic clear; logic advance; logic load; logic rebuild; low_t low; logic low_any; word_t line; grp_t group; logic group_none; sums_t sum_bits; logic r_fresh; logic r_same; logic r_better; logic r_mid; logic r_grp_eq; logic r_grp_lt; logic r_push_eq; order_t o; logic [32:0] o_sum; qty_t o_rest; logic o_all; logic k_bad; reason_t k_why; logic k_all; logic k_head; logic k_second; logic k_next; qty_t k_left; top_t [1:0] t; } state_t;
  typedef struct packed { qty_t leaves; logic [15:0] owner; book_t book; logic side; key_t key; logic is_last; slot_t next; logic is_first; slot_t prev; logic live; logic live2; slot_t head; logic tail_any; slot_t tail; word_t word; sums_t [1:0] sums; } rd_t;
  typedef struct packed { book_t book; slot_t slot; slot_t live; slot_t live2; logic tail_side; key_t tail_key; logic head_side; key_t head_key; logic word_side; grp_t word_grp; } ra_t;
  typedef struct packed { book_t book; logic live_en; slot_t live_slot; logic live; logic leaves_en; slot_t leaves_slot; qty_t leaves; logic tag_en; slot_t tag_slot; logic [15:0] owner; logic side; key_t key; logic next_en; slot_t next_slot; logic is_last; slot_t next; logic prev_en; slot_t prev_slot; logic is_first; slot_t prev; logic head_en; logic head_side; key_t head_key; slot_t head; logic tail_en; logic tail_side; key_t tail_key; logic tail_any; slot_t tail; logic word_en; logic word_side; grp_t word_grp; word_t word; logic sums_en; sums_t [1:0] sums; } wr_t;
  typedef struct packed { state_t st; logic ready; ev_t ev; ra_t ra; wr_t wr; } out_t;
endpackage

`default_nettype wire
