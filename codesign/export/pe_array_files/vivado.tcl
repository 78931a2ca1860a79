# vivado -mode batch -source vivado.tcl   (in this folder): synthesis and implementation out of context, with reports.
set folder [file dirname [file normalize [info script]]]
create_project -force pe_array $$folder/vivado -part $part
add_files [glob $$folder/rtl/*.v $$folder/rtl/*.vh]
set_property file_type {Verilog Header} [get_files *.vh]
set_property include_dirs $$folder/rtl [current_fileset]
set_property top pe_array [current_fileset]
set_property generic {$vivado_generics} [current_fileset]
set constraints [open $$folder/vivado/clock.xdc w]
puts $$constraints "create_clock -period $period_ns -name clk \[get_ports clk\]"
close $$constraints
add_files -fileset constrs_1 $$folder/vivado/clock.xdc
synth_design -top pe_array -part $part -mode out_of_context
report_utilization -file $$folder/vivado/utilization_synth.rpt
opt_design
place_design
route_design
report_utilization -file $$folder/vivado/utilization.rpt
report_timing_summary -file $$folder/vivado/timing.rpt
report_power -file $$folder/vivado/power.rpt
