// A row of processing elements with its sequencer, its feature memory and one requantiser.
//
// The sequencer reads 24 words of program a layer (README.md lists them), then walks over groups of PES output channels, output
// positions, taps and channels, and sends one operand a cycle into the row. A position never takes fewer cycles than it has
// results: they leave the row one a cycle, get bias, ReLU, shift and saturation, and go back into the feature memory, or out
// of the result port in the last layer.

`default_nettype none

module systolic_row #(
    parameter PES = 8,
    parameter WEIGHT_BITS = 8,
    parameter ACTIVATION_BITS = 8,
    parameter ACCUMULATOR_BITS = 24,
    parameter KERNEL_WORDS = 1024,   // of each element
    parameter FEATURE_WORDS = 4096
) (
    input  wire        clk,
    input  wire        rst,
    // loading: one word a cycle into target 0 program, 1 kernels of element load_element, 2 biases, 3 features
    input  wire        load_en,
    input  wire [1:0]  load_target,
    input  wire [7:0]  load_element,
    /* verilator lint_off UNUSEDSIGNAL */  // smaller memories take fewer address bits
    input  wire [15:0] load_address,
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire [31:0] load_data,
    input  wire        start,
    output wire        busy,
    output reg         result_valid,
    output reg  [9:0]  result_channel,  // of a position the last channel comes first
    output reg  signed [ACCUMULATOR_BITS-1:0] result
);
    localparam SLOT_BITS = (PES > 1) ? $clog2(PES) : 1;
    localparam KA = $clog2(KERNEL_WORDS);
    localparam FA = $clog2(FEATURE_WORDS);
    localparam OPERAND_BITS = ACTIVATION_BITS + 1;
    localparam UNIT_BITS = OPERAND_BITS + 8;
    localparam ACC = ACCUMULATOR_BITS;
    localparam [4:0] FIELDS = 24;
    localparam [1:0] IDLE = 0, FETCH = 1, RUN = 2, DRAIN = 3;
    localparam [31:0] ELEMENTS = PES;
    localparam [15:0] GROUP = ELEMENTS[15:0];
    localparam [15:0] LAST_SLOT = GROUP - 16'd1;

    // Channels of a group, less one.
    function [SLOT_BITS-1:0] top_of(input [15:0] channels);
        top_of = (channels >= GROUP) ? LAST_SLOT[SLOT_BITS-1:0] : channels[SLOT_BITS-1:0] - 1'b1;
    endfunction

    // ---- memories

    (* ram_style = "block", no_rw_check *) reg [31:0] program_memory [0:1023];
    (* ram_style = "block", no_rw_check *) reg [15:0] bias_memory [0:1023];
    (* ram_style = "block", no_rw_check *) reg [ACTIVATION_BITS-1:0] feature_memory [0:FEATURE_WORDS-1];
    reg [31:0] program_word;
    reg signed [15:0] bias_word;
    reg [ACTIVATION_BITS-1:0] feature_word;

    reg  [9:0]    program_address;
    wire [9:0]    bias_address;
    wire [FA-1:0] feature_address;
    reg           write_en;
    reg  [FA-1:0] write_address;
    reg  [ACTIVATION_BITS-1:0] write_data;
    wire          store = write_en | (load_en & (load_target == 2'd3));

    always @(posedge clk) begin
        if (load_en & (load_target == 2'd0)) program_memory[load_address[9:0]] <= load_data;
        program_word <= program_memory[program_address];
    end
    always @(posedge clk) begin
        if (load_en & (load_target == 2'd2)) bias_memory[load_address[9:0]] <= load_data[15:0];
        bias_word <= bias_memory[bias_address];
    end
    always @(posedge clk) begin
        if (store) feature_memory[write_en ? write_address : load_address[FA-1:0]] <= write_en ? write_data : load_data[ACTIVATION_BITS-1:0];
        feature_word <= feature_memory[feature_address];
    end

    // ---- program fields of the present layer

    reg [1:0]     state;
    reg [4:0]     fetch;
    reg           unit, diagonal, first_signed, second_signed, relu, final_layer;
    reg [15:0]    last_channel, out_channels, last_position;
    reg [15:0]    last_kernel_w, last_kernel_h, last_out_w, last_out_h;
    reg [15:0]    stride_w, stride_h, first_w, first_h, bound_w, bound_h;
    reg [FA-1:0]  origin, step_tap, step_row, step_x, step_y, out_base;
    reg [KA-1:0]  kernel_base;
    reg [9:0]     bias_base;
    reg [3:0]     align_first, align_second;
    reg [2:0]     shift_left;
    reg [4:0]     shift_right;
    reg signed [15:0] lowest, highest;

    always @(posedge clk)
        if (state == FETCH)
            case (fetch)
                5'd1:  {final_layer, relu, second_signed, first_signed, diagonal, unit} <= program_word[5:0];
                5'd2:  last_channel  <= program_word[15:0];
                5'd3:  out_channels  <= program_word[15:0];
                5'd4:  last_kernel_w <= program_word[15:0];
                5'd5:  last_kernel_h <= program_word[15:0];
                5'd6:  last_out_w    <= program_word[15:0];
                5'd7:  last_out_h    <= program_word[15:0];
                5'd8:  last_position <= program_word[15:0];
                5'd9:  stride_w      <= program_word[15:0];
                5'd10: stride_h      <= program_word[15:0];
                5'd11: first_w       <= program_word[15:0];
                5'd12: first_h       <= program_word[15:0];
                5'd13: bound_w       <= program_word[15:0];
                5'd14: bound_h       <= program_word[15:0];
                5'd15: origin        <= program_word[FA-1:0];
                5'd16: step_tap      <= program_word[FA-1:0];
                5'd17: step_row      <= program_word[FA-1:0];
                5'd18: step_x        <= program_word[FA-1:0];
                5'd19: step_y        <= program_word[FA-1:0];
                5'd20: out_base      <= program_word[FA-1:0];
                5'd21: kernel_base   <= program_word[KA-1:0];
                5'd22: bias_base     <= program_word[9:0];
                5'd23: {align_second, align_first, shift_left, shift_right} <= program_word[15:0];
                5'd24: {highest, lowest} <= program_word;
                default: ;
            endcase

    // ---- sequencer: groups, rows, columns, kernel rows, kernel columns, channels

    reg [15:0]          remaining;
    reg [SLOT_BITS-1:0] top, owed;
    reg [15:0]          channel, kw, kh, ow, oh, iw, ih, iw_start, ih_start;
    reg [FA-1:0]        group_pointer, y_pointer, x_pointer, row_pointer, tap_pointer;
    reg [KA-1:0]        group_kernel, kernel;
    reg                 waiting;
    wire                layer_end;

    wire issue      = (state == RUN) & ~waiting;
    wire end_channel = channel == (diagonal ? {{(16-SLOT_BITS){1'b0}}, top} : last_channel);
    wire end_kw     = end_channel & (kw == last_kernel_w);
    wire last       = end_kw & (kh == last_kernel_h);
    wire first      = (kw == 0) & (kh == 0) & (diagonal | (channel == 0));
    wire advance    = (state == RUN) & (waiting | last) & (owed == 0);
    wire end_row    = ow == last_out_w;
    wire end_map    = end_row & (oh == last_out_h);
    wire end_layer  = end_map & (remaining <= GROUP);
    wire [KA-1:0] next_kernel = kernel + {{(KA-1){1'b0}}, issue & (end_channel | ~diagonal)};
    wire [FA-1:0] next_group  = group_pointer + (diagonal ? GROUP[FA-1:0] : {FA{1'b0}});
    wire [FA-1:0] next_y      = end_map ? next_group : y_pointer + step_y;
    wire [FA-1:0] next_x      = end_row ? next_y : x_pointer + step_x;
    wire [15:0]   next_iw     = end_row ? first_w : iw_start + stride_w;
    wire [15:0]   next_ih     = end_map ? first_h : ih_start + (end_row ? stride_h : 16'd0);
    wire [SLOT_BITS-1:0] next_top = end_map ? top_of(remaining - GROUP) : top;

    assign feature_address = tap_pointer + channel[FA-1:0];
    assign busy = state != IDLE;

    always @(posedge clk) begin
        case (state)
            IDLE: if (start) begin
                state <= FETCH;
                fetch <= 0;
                program_address <= 0;
            end
            FETCH: begin
                fetch <= fetch + 1'b1;
                if (fetch < FIELDS) program_address <= program_address + 1'b1;
                else state <= RUN;
            end
            RUN: if (advance & end_layer) state <= DRAIN;
            default: if (layer_end) begin
                state <= final_layer ? IDLE : FETCH;
                fetch <= 0;
            end
        endcase
        if (rst) state <= IDLE;
    end

    always @(posedge clk)
        if (state == FETCH) begin
            remaining <= out_channels;
            {top, owed} <= {2{top_of(out_channels)}};
            {channel, kw, kh, ow, oh} <= 0;
            {iw, iw_start} <= {2{first_w}};
            {ih, ih_start} <= {2{first_h}};
            {group_pointer, y_pointer, x_pointer, row_pointer, tap_pointer} <= {5{origin}};
            {group_kernel, kernel} <= {2{kernel_base}};
            waiting <= 1'b0;
        end else if (state == RUN) begin
            owed <= advance ? next_top : (owed == 0) ? owed : owed - 1'b1;
            if (advance) begin
                waiting <= 1'b0;
                {channel, kw, kh} <= 0;
                ow <= end_row ? 16'd0 : ow + 1'b1;
                oh <= end_map ? 16'd0 : end_row ? oh + 1'b1 : oh;
                {iw, iw_start} <= {2{next_iw}};
                {ih, ih_start} <= {2{next_ih}};
                {x_pointer, row_pointer, tap_pointer} <= {3{next_x}};
                if (end_row) y_pointer <= next_y;
                kernel <= end_map ? next_kernel : group_kernel;
                if (end_map) begin
                    group_kernel <= next_kernel;
                    group_pointer <= next_group;
                    remaining <= remaining - GROUP;
                    top <= next_top;
                end
            end else if (issue) begin
                waiting <= last;
                kernel <= next_kernel;
                channel <= end_channel ? 16'd0 : channel + 1'b1;
                if (end_kw) begin
                    kw <= 0;
                    kh <= kh + 1'b1;
                    iw <= iw_start;
                    ih <= ih + 1'b1;
                    row_pointer <= row_pointer + step_row;
                    tap_pointer <= row_pointer + step_row;
                end else if (end_channel) begin
                    kw <= kw + 1'b1;
                    iw <= iw + 1'b1;
                    tap_pointer <= tap_pointer + step_tap;
                end
            end
        end

    // ---- from the feature memory into the row

    reg [4:0]           read_command;
    reg [SLOT_BITS-1:0] read_slot;
    reg [KA-1:0]        read_kernel;
    reg                 read_inside, read_second;

    always @(posedge clk) begin
        read_command <= {issue & ~rst, first, last, diagonal, unit};
        read_slot    <= diagonal ? channel[SLOT_BITS-1:0] : top;
        read_kernel  <= kernel;
        read_inside  <= (iw < bound_w) & (ih < bound_h);  // coordinates left of zero wrap to large numbers
        read_second  <= kw != 0;
    end

    wire                           negative = (read_second ? second_signed : first_signed) & feature_word[ACTIVATION_BITS-1];
    wire signed [OPERAND_BITS-1:0] value = read_inside ? {negative, feature_word} : {OPERAND_BITS{1'b0}};
    wire signed [UNIT_BITS-1:0]    widened = {{8{value[OPERAND_BITS-1]}}, value};
    wire signed [UNIT_BITS-1:0]    aligned = widened <<< (read_second ? align_second : align_first);

    reg [4:0]           command;
    reg [SLOT_BITS-1:0] slot;
    reg [UNIT_BITS-1:0] operand;

    always @(posedge clk) begin
        command <= rst ? 5'd0 : read_command;
        slot    <= read_slot;
        operand <= aligned;
    end

    // ---- the row

    wire [4:0]              w_command [0:PES];
    wire [SLOT_BITS-1:0]    w_slot [0:PES];
    wire [KA-1:0]           w_kernel [0:PES];
    wire [UNIT_BITS-1:0]    w_operand [0:PES];
    wire                    w_valid [0:PES];
    wire [ACC-1:0]          w_sum [0:PES];

    assign w_command[0] = command;
    assign w_slot[0] = slot;
    assign w_kernel[0] = read_kernel;
    assign w_operand[0] = operand;
    assign w_valid[0] = 1'b0;
    assign w_sum[0] = {ACC{1'b0}};

    genvar p;
    generate
        for (p = 0; p < PES; p = p + 1) begin : element
            row_pe #(
                .INDEX(p), .SLOT_BITS(SLOT_BITS), .WEIGHT_BITS(WEIGHT_BITS), .OPERAND_BITS(OPERAND_BITS), .ACCUMULATOR_BITS(ACC),
                .KERNEL_WORDS(KERNEL_WORDS), .KERNEL_ADDRESS_BITS(KA)
            ) pe (
                .clk(clk), .rst(rst),
                .load_en(load_en & (load_target == 2'd1) & (load_element == p)), .load_address(load_address[KA-1:0]), .load_data(load_data[WEIGHT_BITS-1:0]),
                .command_in(w_command[p]), .slot_in(w_slot[p]), .kernel_in(w_kernel[p]), .operand_in(w_operand[p]),
                .command_out(w_command[p+1]), .slot_out(w_slot[p+1]), .kernel_out(w_kernel[p+1]), .operand_out(w_operand[p+1]),
                .sum_valid_in(w_valid[p]), .sum_in(w_sum[p]), .sum_valid_out(w_valid[p+1]), .sum_out(w_sum[p+1])
            );
        end
    endgenerate

    // ---- results: bias, ReLU, shift with rounding half to even, saturation

    reg [15:0]          r_remaining;
    reg [SLOT_BITS-1:0] r_top, r_slot;
    reg [15:0]          r_position;
    reg [FA-1:0]        r_group, r_pointer;
    reg [9:0]           r_bias, r_channel;
    wire                arrived = w_valid[PES];
    wire                end_position = arrived & (r_slot == 0);
    wire                end_group = end_position & (r_position == 0);
    wire [SLOT_BITS-1:0] r_next_top = end_group ? top_of(r_remaining - GROUP) : r_top;

    assign bias_address = r_bias + {{(10-SLOT_BITS){1'b0}}, r_slot};

    always @(posedge clk)
        if (state == FETCH) begin
            r_remaining <= out_channels;
            {r_top, r_slot} <= {2{top_of(out_channels)}};
            r_position <= last_position;
            {r_group, r_pointer} <= {2{out_base}};
            r_bias <= bias_base;
            r_channel <= 0;
        end else if (arrived) begin
            r_slot <= end_position ? r_next_top : r_slot - 1'b1;
            if (end_group) begin
                r_remaining <= r_remaining - GROUP;
                r_top <= r_next_top;
                r_position <= last_position;
                r_group <= r_group + GROUP[FA-1:0];
                r_pointer <= r_group + GROUP[FA-1:0];
                r_bias <= r_bias + GROUP[9:0];
                r_channel <= r_channel + GROUP[9:0];
            end else if (end_position) begin
                r_position <= r_position - 1'b1;
                r_pointer <= r_pointer + out_channels[FA-1:0];
            end
        end

    localparam WIDE = ACC + 8;
    reg signed [ACC-1:0]  raw, sum;
    reg signed [WIDE-1:0] shifted;
    reg                   round_up;
    reg [2:0]             valid_stage, end_stage;
    reg [FA-1:0]          place, place_raw, place_sum;
    reg [9:0]             number, number_raw, number_sum;

    wire signed [ACC-1:0]  rectified = (relu & sum[ACC-1]) ? {ACC{1'b0}} : sum;
    wire signed [WIDE-1:0] grown = {{8{rectified[ACC-1]}}, rectified};
    wire signed [WIDE-1:0] floored = (grown <<< shift_left) >>> shift_right;
    wire [ACC-1:0]         half = ({{(ACC-1){1'b0}}, 1'b1} << shift_right) >> 1;
    wire [ACC-1:0]         rest = rectified & ~({ACC{1'b1}} << shift_right);
    wire signed [WIDE-1:0] rounded = shifted + {{(WIDE-1){1'b0}}, round_up};
    wire signed [WIDE-1:0] low = {{(WIDE-16){lowest[15]}}, lowest}, high = {{(WIDE-16){highest[15]}}, highest};
    reg                    layer_end_q;

    assign layer_end = layer_end_q;

    always @(posedge clk) begin
        raw      <= w_sum[PES];
        sum      <= raw + (unit ? {ACC{1'b0}} : {{(ACC-16){bias_word[15]}}, bias_word});
        shifted  <= floored;
        round_up <= (shift_right != 0) & ((rest > half) | ((rest == half) & floored[0]));
        valid_stage <= rst ? 3'd0 : {valid_stage[1:0], arrived};
        end_stage   <= rst ? 3'd0 : {end_stage[1:0], end_group & (r_remaining <= GROUP)};
        place_raw   <= r_pointer + {{(FA-SLOT_BITS){1'b0}}, r_slot};
        place_sum   <= place_raw;
        place       <= place_sum;
        number_raw  <= r_channel + {{(10-SLOT_BITS){1'b0}}, r_slot};
        number_sum  <= number_raw;
        number      <= number_sum;

        write_en       <= valid_stage[2] & ~final_layer & ~rst;
        write_address  <= place;
        write_data     <= (rounded > high) ? high[ACTIVATION_BITS-1:0] : (rounded < low) ? low[ACTIVATION_BITS-1:0] : rounded[ACTIVATION_BITS-1:0];
        result_valid   <= valid_stage[2] & final_layer & ~rst;
        result_channel <= number;
        result         <= rounded[ACC-1:0];
        layer_end_q    <= end_stage[2] & ~rst;
    end
endmodule

`default_nettype wire
