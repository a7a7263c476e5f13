# One clock; the streams are synchronous to it.
create_clock -name clk -period 4.000 [get_ports clk]
set_input_delay  -clock clk 1.0 [remove_from_collection [all_inputs] [get_ports clk]]
set_output_delay -clock clk 1.0 [all_outputs]
