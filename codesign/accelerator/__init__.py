"""FPGA devices and accelerator templates."""
