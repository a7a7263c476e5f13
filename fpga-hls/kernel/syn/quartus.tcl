# Quartus project and compilation: quartus_sh -t syn/quartus.tcl DEVICE, from fpga-hls/kernel. Not run by us: no Quartus here.
# All ports become virtual pins: 519 are more than a package has.
load_package flow
set device [lindex $quartus(args) 0]
if {$device eq ""} { set device AGFB014R24B2E2V }
project_new wirebook_kernel -overwrite
set_global_assignment -name FAMILY "Agilex"
set_global_assignment -name DEVICE $device
set_global_assignment -name TOP_LEVEL_ENTITY wirebook_kernel
set list [open rtl/kernel.f]
foreach file [split [read $list]] {
    if {$file ne ""} { set_global_assignment -name SYSTEMVERILOG_FILE $file }
}
close $list
set_global_assignment -name SDC_FILE syn/kernel.sdc
set_instance_assignment -name VIRTUAL_PIN ON -to *
set_instance_assignment -name VIRTUAL_PIN OFF -to clk
execute_flow -compile
project_close
