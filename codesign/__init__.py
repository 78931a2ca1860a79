"""codesign: search the neural network and the FPGA accelerator together, and prove each Pareto point bit for bit."""
