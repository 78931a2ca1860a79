// One of each: block memory, distributed memory, shift register, multiplier, adder, multiplexer, inverter.
`default_nettype none
module sample_memory #(parameter WORDS = 16, parameter BITS = 8, parameter ADDRESS = 4) (
  input wire clk, input wire write, input wire [ADDRESS-1:0] write_address, input wire [BITS-1:0] write_data,
  input wire [ADDRESS-1:0] read_address, output reg [BITS-1:0] read_data
);
  reg [BITS-1:0] words [0:WORDS-1];
  always @(posedge clk) begin
    if (write) words[write_address] <= write_data;
    read_data <= words[read_address];
  end
endmodule

module sample #(parameter LANES = 0, parameter BITS = 8) (
  input wire clk, input wire reset, input wire write, input wire [9:0] write_address, input wire [9:0] read_address,
  input wire [LANES*BITS-1:0] data, input wire [2:0] choice, output reg signed [23:0] sum, output reg [BITS-1:0] late, output reg picked
);
`include "sample.vh"
  wire [LANES*BITS-1:0] large;
  wire [BITS-1:0] small;
  sample_memory #(.WORDS(1024), .BITS(LANES*BITS), .ADDRESS(10)) block(
    .clk(clk), .write(write), .write_address(write_address), .write_data(data), .read_address(read_address), .read_data(large));
  sample_memory #(.WORDS(16), .BITS(BITS), .ADDRESS(4)) distributed(
    .clk(clk), .write(write), .write_address(write_address[3:0]), .write_data(data[BITS-1:0]), .read_address(read_address[3:0]), .read_data(small));
  reg [BITS-1:0] taps [0:`SAMPLE_TAPS-1];
  reg signed [2*BITS-1:0] product [0:LANES-1];
  reg signed [2*BITS+7:0] total;
  integer i, j;
  always @* begin
    total = 0;
    for (i = 0; i < LANES; i = i + 1) total = total + product[i];
  end
  always @(posedge clk) begin
    taps[0] <= small;
    for (j = 1; j < `SAMPLE_TAPS; j = j + 1) taps[j] <= taps[j-1];
    late <= taps[`SAMPLE_TAPS-1];
    for (j = 0; j < LANES; j = j + 1) product[j] <= $signed(large[j*BITS +: BITS]) * $signed(small);
`ifdef ACCUMULATE
    sum <= reset ? 24'sd0 : sum + total;
`else
    sum <= total;
`endif
    picked <= ~data[{1'b0, choice}] ^ late[choice];
  end
endmodule
`default_nettype wire
