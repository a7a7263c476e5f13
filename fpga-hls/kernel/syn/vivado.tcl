# Out-of-context synthesis, place and route with Vivado: vivado -mode batch -source syn/vivado.tcl -tclargs PART PERIOD_NS
# from fpga-hls/kernel. Not run by us: no Vivado here. wb_step.sv and the like are plain SystemVerilog.
set part [lindex $argv 0]
set period [lindex $argv 1]
if {$part eq ""} { set part xcku5p-ffvb676-2-e }
if {$period eq ""} { set period 4.0 }
set list [open rtl/kernel.f]
foreach file [split [read $list]] { if {$file ne ""} { read_verilog -sv $file } }
close $list
synth_design -top wirebook_kernel -part $part -mode out_of_context -flatten_hierarchy rebuilt
create_clock -name clk -period $period [get_ports clk]
opt_design
place_design
phys_opt_design
route_design
report_timing_summary -file vivado_timing.rpt
report_utilization -hierarchical -file vivado_utilization.rpt
