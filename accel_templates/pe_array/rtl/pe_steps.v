// Steps of a computation, one a cycle: reads of biases, then position by position the taps of its kernel (kernel row, kernel
// column, channel tile), shifts between the operands of an add, idle cycles.
module pe_steps #(
    parameter WEIGHT_ADDRESS_BITS = 8,
    parameter ACTIVATION_ADDRESS_BITS = 8
) (
    input wire clk,
    input wire rst,
    input wire begin_computation,
    input wire [895:0] fields,
    output reg [ACTIVATION_ADDRESS_BITS-1:0] activation_address,
    output reg [WEIGHT_ADDRESS_BITS-1:0] weight_address,
    output wire multiply,        // the step multiplies the words at the addresses
    output reg [4:0] lane_group,  // a diagonal layer multiplies these lanes only
    output wire signed_operand,
    output wire on_padding,      // the tap lies on zero padding (only with full_taps)
    output wire first,           // of its position
    output wire last,            // of its position
    output wire group_ends,      // the position is the last of its group
    output wire read_bias,       // the step reads a word of biases
    output wire bias_complete,   // the last of them
    output wire shift,           // the step shifts the accumulators
    output reg computation_ends  // all steps are done
);
    `include "pe_program.vh"
    localparam AA = ACTIVATION_ADDRESS_BITS;
    localparam WA = WEIGHT_ADDRESS_BITS;
    localparam REST = 3'd0, BIAS = 3'd1, TAP = 3'd2, SLOT = 3'd3, IDLE = 3'd4;

    wire p_valid, p_group_begins, p_group_ends, p_computation_ends;
    wire [AA-1:0] p_activation_address;
    wire [WA-1:0] p_weight_address, p_bias_address;
    wire [11:0] p_taps_y_last, p_taps_x_last;
    wire signed [12:0] p_first_y, p_first_x;
    wire [4:0] p_lane_group;
    wire [6:0] p_idle_after;
    wire take;

    pe_positions #(.WEIGHT_ADDRESS_BITS(WA), .ACTIVATION_ADDRESS_BITS(AA)) positions (
        .clk(clk), .rst(rst), .begin_computation(begin_computation), .fields(fields),
        .valid(p_valid), .taken(take),
        .activation_address(p_activation_address), .weight_address(p_weight_address), .bias_address(p_bias_address),
        .taps_y_last(p_taps_y_last), .taps_x_last(p_taps_x_last), .first_y(p_first_y), .first_x(p_first_x),
        .lane_group(p_lane_group),
        .group_begins(p_group_begins), .group_ends(p_group_ends), .computation_ends(p_computation_ends),
        .idle_after(p_idle_after)
    );

    wire add = fields[I_ADD_LSB];
    wire [3:0] slots = fields[I_SLOTS_LSB +: I_SLOTS_BITS];
    wire [WA-1:0] weight_step = {{(WA - 1){1'b0}}, fields[I_WEIGHT_STEP_LSB]};

    reg [2:0] kind;
    reg is_first, ends_group, ends_computation;
    reg [11:0] next_tile, taps_x, taps_y, taps_x_last;
    reg first_tile, tiles_done, taps_x_done, taps_y_done, no_idle;  // of the step that is on its way now
    reg [AA-1:0] tap_address, row_address;
    reg [WA-1:0] row_weight, tap_weight_held;
    reg [6:0] count, idle_after;
    reg signed [12:0] y, x, x_begin;

    wire [11:0] tiles_last = fields[I_CHANNEL_TILES_LAST_LSB +: 12];
    wire one_tile = tiles_last == 12'd0;
    wire slots_next = add && first_tile && slots != 4'd0;
    wire row_done = tiles_done && taps_x_done;
    wire taps_done = row_done && taps_y_done;
    wire position_done = (kind == TAP && taps_done && no_idle) || (kind == IDLE && count == 7'd0);
    wire free = kind == REST || position_done;

    assign take = free && p_valid;

    wire [AA-1:0] next_tap = tap_address + 1'b1;
    wire [31:0] row_step = {19'd0, fields[I_IN_ROW_LSB +: I_IN_ROW_BITS]};
    wire [AA-1:0] next_row = row_address + row_step[AA-1:0];
    wire [WA-1:0] next_weight = weight_address + weight_step;
    wire [WA-1:0] next_weight_row = row_weight + fields[I_WEIGHT_ROW_LSB +: WA];

    always @(posedge clk) begin
        computation_ends <= position_done && ends_computation && !rst;
        if (rst) kind <= REST;
        else if (take) kind <= p_group_begins ? BIAS : TAP;
        else if (position_done) kind <= REST;
        else case (kind)
            BIAS: if (count == 7'd0) kind <= TAP;
            TAP: if (slots_next) kind <= SLOT; else if (taps_done) kind <= IDLE;
            SLOT: if (count == 7'd0) kind <= TAP;
            default: kind <= kind;
        endcase

        if (take) begin
            lane_group <= p_lane_group;
            ends_group <= p_group_ends;
            ends_computation <= p_computation_ends;
            idle_after <= p_idle_after;
            is_first <= 1'b1;
            activation_address <= p_activation_address;
            tap_address <= p_activation_address;
            row_address <= p_activation_address;
            weight_address <= p_group_begins ? p_bias_address : p_weight_address;
            tap_weight_held <= p_weight_address;
            row_weight <= p_weight_address;
            no_idle <= p_idle_after == 7'd0;
            next_tile <= 12'd1;
            first_tile <= 1'b1;
            tiles_done <= one_tile;
            taps_x <= p_taps_x_last;
            taps_x_last <= p_taps_x_last;
            taps_x_done <= p_taps_x_last == 12'd0;
            taps_y <= p_taps_y_last;
            taps_y_done <= p_taps_y_last == 12'd0;
            y <= p_first_y;
            x <= p_first_x;
            x_begin <= p_first_x;
            count <= {3'd0, fields[I_BIAS_WORDS_LSB +: I_BIAS_WORDS_BITS]} - 7'd1;
        end else case (kind)
            BIAS: begin
                count <= count - 7'd1;
                weight_address <= (count == 7'd0) ? tap_weight_held : weight_address + 1'b1;
            end
            TAP: begin
                is_first <= 1'b0;
                count <= taps_done ? idle_after - 7'd1 : {3'd0, slots} - 7'd1;
                next_tile <= tiles_done ? 12'd1 : next_tile + 12'd1;
                first_tile <= tiles_done;
                tiles_done <= tiles_done ? one_tile : next_tile == tiles_last;
                weight_address <= (row_done && !taps_done) ? next_weight_row : next_weight;
                if (!tiles_done) activation_address <= activation_address + fields[I_CHANNEL_STRIDE_LSB +: AA];
                else if (!row_done) begin
                    activation_address <= next_tap;
                    tap_address <= next_tap;
                    taps_x <= taps_x - 12'd1;
                    taps_x_done <= taps_x == 12'd1;
                    x <= x + 13'sd1;
                end else begin
                    activation_address <= next_row;
                    tap_address <= next_row;
                    row_address <= next_row;
                    row_weight <= next_weight_row;
                    taps_x <= taps_x_last;
                    taps_x_done <= taps_x_last == 12'd0;
                    taps_y <= taps_y - 12'd1;
                    taps_y_done <= taps_y == 12'd1;
                    x <= x_begin;
                    y <= y + 13'sd1;
                end
            end
            default: count <= count - 7'd1;
        endcase
    end

    wire [3:0] slots_active = fields[I_SLOTS_ACTIVE_LSB +: I_SLOTS_ACTIVE_BITS];
    assign multiply = kind == TAP;
    assign signed_operand = (add && !first_tile) ? fields[I_SIGNED_B_LSB] : fields[I_SIGNED_A_LSB];
    assign on_padding = fields[I_FULL_TAPS_LSB]
        && (y[12] || y[11:0] > fields[I_IN_H_LAST_LSB +: 12] || x[12] || x[11:0] > fields[I_IN_W_LAST_LSB +: 12]);
    assign first = kind == TAP && is_first;
    assign last = kind == TAP && taps_done;
    assign group_ends = ends_group;
    assign read_bias = kind == BIAS;
    assign bias_complete = kind == BIAS && count == 7'd0;
    assign shift = kind == SLOT && count < {3'd0, slots_active};
endmodule
