// One row of the array: COLUMNS products, their sum, the accumulator of one output channel.
module pe_row #(
    parameter COLUMNS = 8,
    parameter WEIGHT_BITS = 8,
    parameter ACTIVATION_BITS = 8,
    parameter ACCUMULATOR_BITS = 32,
    parameter BIAS_BITS = 16
) (
    input wire clk,
    input wire [COLUMNS*WEIGHT_BITS-1:0] weights,
    input wire [COLUMNS*(ACTIVATION_BITS+1)-1:0] operands,
    input wire [BIAS_BITS-1:0] bias,
    input wire first,
    input wire shift,
    output reg signed [ACCUMULATOR_BITS-1:0] accumulator
);
    localparam PRODUCT_BITS = WEIGHT_BITS + ACTIVATION_BITS + 1;
    localparam GROUPS = (COLUMNS + 7) / 8;
    localparam GROUP_BITS = PRODUCT_BITS + ((COLUMNS > 8) ? 3 : $clog2(COLUMNS));
    localparam SUM_BITS = PRODUCT_BITS + $clog2(COLUMNS);

    reg [COLUMNS*PRODUCT_BITS-1:0] products;
    genvar c;
    generate
        for (c = 0; c < COLUMNS; c = c + 1) begin : unit
            wire signed [WEIGHT_BITS-1:0] weight = weights[c*WEIGHT_BITS +: WEIGHT_BITS];
            wire signed [ACTIVATION_BITS:0] operand = operands[c*(ACTIVATION_BITS+1) +: ACTIVATION_BITS+1];
            always @(posedge clk) products[c*PRODUCT_BITS +: PRODUCT_BITS] <= weight * operand;
        end
    endgenerate

    // Sums of eight, registered; beyond eight columns a second stage adds them.
    reg [GROUPS*GROUP_BITS-1:0] group_sums;
    generate
        for (c = 0; c < GROUPS; c = c + 1) begin : eight
            localparam COUNT = (c == GROUPS - 1) ? COLUMNS - 8 * c : 8;
            wire signed [GROUP_BITS-1:0] group_sum;
            pe_adder_tree #(.COUNT(COUNT), .WIDTH(PRODUCT_BITS), .SUM_WIDTH(GROUP_BITS)) tree (
                .terms(products[8*c*PRODUCT_BITS +: COUNT*PRODUCT_BITS]), .sum(group_sum)
            );
            always @(posedge clk) group_sums[c*GROUP_BITS +: GROUP_BITS] <= group_sum;
        end
    endgenerate

    wire signed [SUM_BITS-1:0] sum;
    generate
        if (GROUPS == 1) begin : one_stage
            assign sum = group_sums;
        end else begin : two_stages
            wire signed [SUM_BITS-1:0] all;
            reg signed [SUM_BITS-1:0] held;
            pe_adder_tree #(.COUNT(GROUPS), .WIDTH(GROUP_BITS), .SUM_WIDTH(SUM_BITS)) tree (.terms(group_sums), .sum(all));
            always @(posedge clk) held <= all;
            assign sum = held;
        end
    endgenerate

    wire signed [ACCUMULATOR_BITS-1:0] start =
        first ? {{(ACCUMULATOR_BITS - BIAS_BITS){bias[BIAS_BITS-1]}}, bias}
              : shift ? accumulator <<< (WEIGHT_BITS - 1) : accumulator;
    wire [ACCUMULATOR_BITS+SUM_BITS-1:0] extended = {{ACCUMULATOR_BITS{sum[SUM_BITS-1]}}, sum};
    always @(posedge clk) accumulator <= start + $signed(extended[ACCUMULATOR_BITS-1:0]);
endmodule
