// Output positions of a computation, one a cycle: where each begins in the buffers and how many taps of its kernel fall on
// real input. Three stages that move together whenever the last one is taken.
module pe_positions #(
    parameter WEIGHT_ADDRESS_BITS = 8,
    parameter ACTIVATION_ADDRESS_BITS = 8
) (
    input wire clk,
    input wire rst,
    input wire begin_computation,
    input wire [895:0] fields,
    output reg valid,
    input wire taken,
    output reg [ACTIVATION_ADDRESS_BITS-1:0] activation_address,
    output reg [WEIGHT_ADDRESS_BITS-1:0] weight_address,
    output reg [WEIGHT_ADDRESS_BITS-1:0] bias_address,
    output reg [11:0] taps_y_last,
    output reg [11:0] taps_x_last,
    output reg signed [12:0] first_y,
    output reg signed [12:0] first_x,
    output reg [4:0] lane_group,  // of a group of a diagonal layer, in the word of its plane
    output reg group_begins,
    output reg group_ends,
    output reg computation_ends,
    output reg [6:0] idle_after
);
    `include "pe_program.vh"
    localparam AA = ACTIVATION_ADDRESS_BITS;
    localparam WA = WEIGHT_ADDRESS_BITS;

    wire full_taps = fields[I_FULL_TAPS_LSB];
    wire [11:0] in_h_last = fields[I_IN_H_LAST_LSB +: 12];
    wire [11:0] in_w_last = fields[I_IN_W_LAST_LSB +: 12];
    wire [11:0] kernel_h_last = fields[I_KERNEL_H_LAST_LSB +: 12];
    wire [11:0] kernel_w_last = fields[I_KERNEL_W_LAST_LSB +: 12];
    wire [31:0] bias_words = {28'd0, fields[I_BIAS_WORDS_LSB +: I_BIAS_WORDS_BITS]};
    wire advance = !valid || taken;

    // ---- stage a: counters. y and x are the input coordinates of the kernel's first tap, reach those of its last
    reg a_valid, a_group_begins;
    reg [11:0] group, row, column;
    reg signed [12:0] y, x, y_reach, x_reach;
    reg [AA-1:0] address_y, plane;
    reg [WA-1:0] weight_y, weight_x, weight_group;
    reg [4:0] plane_group;
    // Whether the counters are at their ends is known with them; column, row and group hold the next value.
    reg column_last, row_last, group_last;
    wire [11:0] columns_last = fields[I_COLUMNS_LAST_LSB +: 12];
    wire [11:0] rows_last = fields[I_ROWS_LAST_LSB +: 12];
    wire [11:0] groups_last = fields[I_GROUPS_LAST_LSB +: 12];
    wire group_done = column_last && row_last;
    wire plane_last = fields[I_DEPTHWISE_LSB] && plane_group == fields[I_PLANE_GROUPS_LAST_LSB +: I_PLANE_GROUPS_LAST_BITS];
    wire signed [12:0] y_begin = fields[I_FIRST_Y_LSB +: 13];
    wire signed [12:0] x_begin = fields[I_FIRST_X_LSB +: 13];
    wire signed [12:0] y_step = {7'd0, fields[I_STRIDE_Y_LSB +: I_STRIDE_Y_BITS]};
    wire signed [12:0] x_step = {7'd0, fields[I_STRIDE_X_LSB +: I_STRIDE_X_BITS]};

    always @(posedge clk) begin
        if (rst) a_valid <= 1'b0;
        else if (begin_computation) a_valid <= 1'b1;
        else if (advance && group_done && group_last) a_valid <= 1'b0;

        if (begin_computation) begin
            group <= 12'd1;
            group_last <= groups_last == 12'd0;
            plane <= fields[I_ACTIVATION_BASE_LSB +: AA];
            plane_group <= 0;
            weight_group <= fields[I_WEIGHT_BASE_LSB +: WA];
        end else if (advance && group_done) begin
            group <= group + 12'd1;
            group_last <= group == groups_last;
            weight_group <= weight_group + fields[I_WEIGHT_GROUP_LSB +: WA];
            plane_group <= plane_last ? 0 : plane_group + 1'b1;
            if (plane_last) plane <= plane + fields[I_PLANE_STRIDE_LSB +: AA];
        end

        if (begin_computation || (advance && group_done)) begin
            a_group_begins <= 1'b1;
            row <= 12'd1;
            row_last <= rows_last == 12'd0;
            y <= y_begin;
            y_reach <= y_begin + $signed({1'b0, kernel_h_last});
            address_y <= fields[I_ADDRESS_Y_LSB +: AA];
            weight_y <= fields[I_WEIGHT_Y_LSB +: WA];
        end else if (advance) begin
            a_group_begins <= 1'b0;
            if (column_last) begin
                row <= row + 12'd1;
                row_last <= row == rows_last;
                y <= y + y_step;
                y_reach <= y_reach + y_step;
                address_y <= address_y + fields[I_ADDRESS_Y_STEP_LSB +: AA];
                weight_y <= weight_y - fields[I_WEIGHT_Y_STEP_LSB +: WA];
            end
        end

        if (begin_computation || (advance && column_last)) begin
            column <= 12'd1;
            column_last <= columns_last == 12'd0;
            x <= x_begin;
            x_reach <= x_begin + $signed({1'b0, kernel_w_last});
            weight_x <= fields[I_WEIGHT_X_LSB +: WA];
        end else if (advance) begin
            column <= column + 12'd1;
            column_last <= column == columns_last;
            x <= x + x_step;
            x_reach <= x_reach + x_step;
            weight_x <= weight_x - fields[I_WEIGHT_X_STEP_LSB +: WA];
        end
    end

    // ---- stage b: what lies before the first and beyond the last input is cut off
    reg b_valid, b_group_begins, b_group_ends, b_computation_ends;
    reg before_y, before_x, beyond_y, beyond_x;
    reg signed [12:0] b_y, b_x, b_y_reach, b_x_reach;
    reg [AA-1:0] b_row, b_column;
    reg [WA-1:0] b_weight_row, b_weight_column, b_bias;
    reg [4:0] b_lane_group;
    wire [31:0] x_address = {{19{x[12]}}, x};
    wire cut_y = y[12] && !full_taps;
    wire cut_x = x[12] && !full_taps;

    always @(posedge clk) begin
        if (rst || begin_computation) b_valid <= 1'b0;
        else if (advance) b_valid <= a_valid;
        if (advance) begin
            b_group_begins <= a_group_begins;
            b_group_ends <= group_done;
            b_computation_ends <= group_done && group_last;
            before_y <= cut_y;
            before_x <= cut_x;
            beyond_y <= y_reach > $signed({1'b0, in_h_last}) && !full_taps;
            beyond_x <= x_reach > $signed({1'b0, in_w_last}) && !full_taps;
            b_y <= y;
            b_x <= x;
            b_y_reach <= y_reach;
            b_x_reach <= x_reach;
            b_row <= cut_y ? plane : plane + address_y;
            b_column <= cut_x ? 0 : x_address[AA-1:0];
            b_weight_row <= cut_y ? weight_group + weight_y : weight_group;
            b_weight_column <= cut_x ? weight_x : 0;
            b_bias <= weight_group;
            b_lane_group <= plane_group;
        end
    end

    // ---- stage c: the position
    wire [12:0] cut_y_last = {1'b0, in_h_last} - b_y;
    wire [12:0] cut_x_last = {1'b0, in_w_last} - b_x;

    always @(posedge clk) begin
        if (rst || begin_computation) valid <= 1'b0;
        else if (advance) valid <= b_valid;
        if (advance) begin
            activation_address <= b_row + b_column;
            weight_address <= b_weight_row + b_weight_column + bias_words[WA-1:0];
            bias_address <= b_bias;
            lane_group <= b_lane_group;
            taps_y_last <= (before_y && beyond_y) ? in_h_last : before_y ? b_y_reach[11:0] : beyond_y ? cut_y_last[11:0] : kernel_h_last;
            taps_x_last <= (before_x && beyond_x) ? in_w_last : before_x ? b_x_reach[11:0] : beyond_x ? cut_x_last[11:0] : kernel_w_last;
            first_y <= b_y;
            first_x <= b_x;
            group_begins <= b_group_begins;
            group_ends <= b_group_ends;
            computation_ends <= b_computation_ends;
            idle_after <= {1'b0, fields[I_GAP_LSB +: I_GAP_BITS]} + (b_group_ends ? {3'd0, fields[I_GROUP_PAD_LSB +: I_GROUP_PAD_BITS]} : 7'd0);
        end
    end
endmodule
