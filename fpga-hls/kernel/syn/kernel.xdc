# One clock; the streams are synchronous to it. The period that a run asks for is set by vivado.tcl.
create_clock -name clk -period 4.000 [get_ports clk]
set_input_delay  -clock clk 1.0 [get_ports -filter {DIRECTION == IN && NAME != "clk"}]
set_output_delay -clock clk 1.0 [get_ports -filter {DIRECTION == OUT}]
