// An array of ROWS x COLUMNS multiply-accumulate units that runs a program from external memory; see ARCHITECTURE.md.
//
// TIMING_ONLY removes every data bit: what remains takes the same cycles for every size and width, so that one simulator
// serves all of them. The little that depends on sizes comes through the cfg_ ports.
module pe_array #(
    parameter ROWS = 8,
    parameter COLUMNS = 8,
    parameter WEIGHT_BITS = 8,
    parameter ACTIVATION_BITS = 8,
    parameter ACCUMULATOR_BITS = 32,
    parameter BUS_BITS = 32,
    parameter WEIGHT_WORDS = 1024,
    parameter ACTIVATION_WORDS = 1024,
    parameter OUTPUT_WORDS = 1024
) (
    input wire clk,
    input wire rst,
`ifdef TIMING_ONLY
    input wire [7:0] cfg_fetch_beats,
    input wire [1:0] cfg_tree,
`endif
    input wire start,
    input wire [31:0] program_address,
    output reg done,
    output wire busy,
    output reg error,  // the memory answered a burst with an error since the last start

    output wire [31:0] m_axi_araddr,
    output wire [7:0] m_axi_arlen,
    output wire [2:0] m_axi_arsize,
    output wire [1:0] m_axi_arburst,
    output wire m_axi_arvalid,
    input wire m_axi_arready,
    input wire [BUS_BITS-1:0] m_axi_rdata,
    input wire [1:0] m_axi_rresp,
    input wire m_axi_rlast,
    input wire m_axi_rvalid,
    output wire m_axi_rready,
    output wire [31:0] m_axi_awaddr,
    output wire [7:0] m_axi_awlen,
    output wire [2:0] m_axi_awsize,
    output wire [1:0] m_axi_awburst,
    output wire m_axi_awvalid,
    input wire m_axi_awready,
    output wire [BUS_BITS-1:0] m_axi_wdata,
    output wire [BUS_BITS/8-1:0] m_axi_wstrb,
    output wire m_axi_wlast,
    output wire m_axi_wvalid,
    input wire m_axi_wready,
    input wire [1:0] m_axi_bresp,
    input wire m_axi_bvalid,
    output wire m_axi_bready
);
    `include "pe_program.vh"

    // Greatest common divisor: lanes that fit both the rows and the columns.
    function integer common;
        input integer a;
        input integer b;
        integer rest;
        begin
            common = a;
            rest = b;
            while (rest != 0) begin
                if (common > rest) common = common - rest;
                else rest = rest - common;
            end
        end
    endfunction
    function integer address_bits;
        input integer words;
        address_bits = (words > 2) ? $clog2(words) : 1;
    endfunction

    localparam BIAS_BITS = 16;
    localparam LANES = common(ROWS, COLUMNS);
    localparam LANE_GROUPS = COLUMNS / LANES;
    localparam WEIGHT_WORD_BITS = ROWS * COLUMNS * WEIGHT_BITS;
    localparam WEIGHT_WORD_BEATS = (WEIGHT_WORD_BITS + BUS_BITS - 1) / BUS_BITS;
    localparam ACTIVATION_WORD_BITS = COLUMNS * ACTIVATION_BITS;
    localparam ACTIVATION_WORD_BEATS = (ACTIVATION_WORD_BITS + BUS_BITS - 1) / BUS_BITS;
    localparam BIAS_WORDS = (ROWS * BIAS_BITS + WEIGHT_WORD_BITS - 1) / WEIGHT_WORD_BITS;
    localparam WA = address_bits(WEIGHT_WORDS);
    localparam AA = address_bits(ACTIVATION_WORDS);
    localparam OA = address_bits(OUTPUT_WORDS);
    localparam RA = (AA > OA) ? AA : OA;

    localparam BYTE_BITS = $clog2(BUS_BITS / 8);
    assign m_axi_arsize = BYTE_BITS[2:0];
    assign m_axi_awsize = BYTE_BITS[2:0];
    assign m_axi_arburst = 2'b01;
    assign m_axi_awburst = 2'b01;
    assign m_axi_wstrb = {(BUS_BITS / 8){1'b1}};
    assign m_axi_rready = 1'b1;
    assign m_axi_bready = 1'b1;

    // ---- phases
    localparam REST = 2'd0, FIRST = 2'd1, NEXT = 2'd2, RUN = 2'd3;
    reg [1:0] state;
    reg [31:0] fetch_address;
    reg [895:0] fields;
    reg computing, begin_computation;
    wire [895:0] instruction;
    wire fetched, mover_idle, computed;
    wire begin_phase = state == NEXT && !instruction[I_HALT_LSB];
    wire begin_fetch = state == REST && start;

    assign busy = state != REST;

    always @(posedge clk) begin
        done <= 1'b0;
        if (rst || begin_fetch) error <= 1'b0;
        else if ((m_axi_rvalid && m_axi_rresp[1]) || (m_axi_bvalid && m_axi_bresp[1])) error <= 1'b1;
        begin_computation <= begin_phase && instruction[I_COMPUTE_LSB] && !rst;
        if (begin_phase) fields <= instruction;
        if (begin_fetch) fetch_address <= program_address;
        else if (fetched) fetch_address <= fetch_address + (INSTRUCTION_BITS / 8);
        if (rst) computing <= 1'b0;
        else if (begin_phase) computing <= instruction[I_COMPUTE_LSB];
        else if (computed) computing <= 1'b0;
        if (rst) state <= REST;
        else case (state)
            REST: if (start) state <= FIRST;
            FIRST: if (fetched) state <= NEXT;
            NEXT: begin
                state <= instruction[I_HALT_LSB] ? REST : RUN;
                done <= instruction[I_HALT_LSB];
            end
            RUN: if (mover_idle && !computing) state <= NEXT;
        endcase
    end

    // ---- movements
    wire weight_write, activation_load, output_read;
    wire [WA-1:0] weight_load_address;
    wire [WEIGHT_WORD_BEATS-1:0] weight_slice;
    wire [AA-1:0] activation_load_address;
    wire [ACTIVATION_WORD_BITS-1:0] activation_load_word;
    wire [OA-1:0] output_read_address;
    wire [ACTIVATION_WORD_BITS-1:0] output_word;

    pe_mover #(
        .BUS_BITS(BUS_BITS), .WEIGHT_WORD_BEATS(WEIGHT_WORD_BEATS),
        .ACTIVATION_WORD_BITS(ACTIVATION_WORD_BITS), .ACTIVATION_WORD_BEATS(ACTIVATION_WORD_BEATS),
        .WEIGHT_ADDRESS_BITS(WA), .ACTIVATION_ADDRESS_BITS(AA), .OUTPUT_ADDRESS_BITS(OA)
    ) mover (
        .clk(clk), .rst(rst),
`ifdef TIMING_ONLY
        .cfg_fetch_beats(cfg_fetch_beats),
`endif
        .begin_phase(begin_phase), .begin_fetch(begin_fetch), .program_address(fetch_address),
        .fetched(fetched), .idle(mover_idle), .instruction(instruction),
        .weight_write(weight_write), .weight_address(weight_load_address), .weight_slice(weight_slice),
        .activation_write(activation_load), .activation_address(activation_load_address), .activation_word(activation_load_word),
        .output_read(output_read), .output_address(output_read_address), .output_word(output_word),
        .m_axi_araddr(m_axi_araddr), .m_axi_arlen(m_axi_arlen), .m_axi_arvalid(m_axi_arvalid), .m_axi_arready(m_axi_arready),
        .m_axi_rdata(m_axi_rdata), .m_axi_rlast(m_axi_rlast), .m_axi_rvalid(m_axi_rvalid),
        .m_axi_awaddr(m_axi_awaddr), .m_axi_awlen(m_axi_awlen), .m_axi_awvalid(m_axi_awvalid), .m_axi_awready(m_axi_awready),
        .m_axi_wdata(m_axi_wdata), .m_axi_wlast(m_axi_wlast), .m_axi_wvalid(m_axi_wvalid), .m_axi_wready(m_axi_wready),
        .m_axi_bvalid(m_axi_bvalid)
    );

    // ---- steps
    wire [AA-1:0] activation_address;
    wire [WA-1:0] weight_address;
    wire [4:0] lane_group;
    wire multiply, signed_operand, on_padding, first, last, group_ends, read_bias, bias_complete, shift, computation_ends;

    pe_steps #(.WEIGHT_ADDRESS_BITS(WA), .ACTIVATION_ADDRESS_BITS(AA)) steps (
        .clk(clk), .rst(rst), .begin_computation(begin_computation), .fields(fields),
        .activation_address(activation_address), .weight_address(weight_address),
        .multiply(multiply), .lane_group(lane_group), .signed_operand(signed_operand), .on_padding(on_padding), .first(first), .last(last), .group_ends(group_ends),
        .read_bias(read_bias), .bias_complete(bias_complete), .shift(shift), .computation_ends(computation_ends)
    );

    // ---- what travels with a step: after the buffers (1), as operands (2), products (3), sums (4, and 5 beyond eight
    // columns), and one later in the accumulators
`ifdef TIMING_ONLY
    wire two_stages = cfg_tree == 2'd2;
`else
    localparam two_stages = COLUMNS > 8;
`endif
    reg [5:1] end_at;
    reg end_accumulated;
    reg [5:0] ending;
    wire end_summed = two_stages ? end_at[5] : end_at[4];
    always @(posedge clk) begin
        end_at <= rst ? 5'd0 : {end_at[4:1], computation_ends};
        end_accumulated <= end_summed && !rst;
        // All results are written once the chunks of the last position have gone through.
        if (rst) ending <= 6'd0;
        else if (end_accumulated) ending <= {1'b0, fields[I_CHUNK_LAST_LSB +: I_CHUNK_LAST_BITS]} + 6'd7;
        else if (ending != 6'd0) ending <= ending - 6'd1;
    end
    assign computed = ending == 6'd1;

`ifdef TIMING_ONLY
    assign output_word = 0;
`else
    reg [5:1] first_at, last_at, group_ends_at, bias_complete_at, shift_at;
    reg [LANE_GROUPS-1:0] lane_groups_1;
    integer k;
    reg multiply_1, signed_operand_1, on_padding_1, read_bias_1, last_accumulated, group_ends_accumulated;
    always @(posedge clk) begin
        first_at <= {first_at[4:1], first};
        last_at <= rst ? 5'd0 : {last_at[4:1], last};
        group_ends_at <= {group_ends_at[4:1], group_ends};
        bias_complete_at <= {bias_complete_at[4:1], bias_complete};
        shift_at <= {shift_at[4:1], shift};
        multiply_1 <= multiply;
        for (k = 0; k < LANE_GROUPS; k = k + 1) lane_groups_1[k] <= !fields[I_DEPTHWISE_LSB] || {27'd0, lane_group} == k;
        signed_operand_1 <= signed_operand;
        on_padding_1 <= on_padding;
        read_bias_1 <= read_bias;
        last_accumulated <= last_at[two_stages ? 5 : 4] && !rst;
        group_ends_accumulated <= group_ends_at[two_stages ? 5 : 4];
    end

    // ---- buffers
    wire result_write;
    wire [LANE_GROUPS-1:0] result_lane_group;
    wire [RA-1:0] result_address;
    wire [LANES*ACTIVATION_BITS-1:0] result_data;
    wire to_activations = fields[I_DESTINATION_LSB];
    wire [WEIGHT_WORD_BITS-1:0] weight_word;
    wire [ACTIVATION_WORD_BITS-1:0] activation_word;
    genvar g;
    generate
        for (g = 0; g < WEIGHT_WORD_BEATS; g = g + 1) begin : weight_buffer
            localparam WIDTH = (g == WEIGHT_WORD_BEATS - 1) ? WEIGHT_WORD_BITS - g * BUS_BITS : BUS_BITS;
            pe_memory #(.WIDTH(WIDTH), .WORDS(WEIGHT_WORDS), .ADDRESS_BITS(WA)) memory (
                .clk(clk), .write(weight_write && weight_slice[g]), .write_address(weight_load_address), .write_data(m_axi_rdata[WIDTH-1:0]),
                .read(1'b1), .read_address(weight_address), .read_data(weight_word[g*BUS_BITS +: WIDTH])
            );
        end
        for (g = 0; g < LANE_GROUPS; g = g + 1) begin : activation_buffer
            localparam WIDTH = LANES * ACTIVATION_BITS;
            wire [WIDTH-1:0] loaded = activation_load_word[g*WIDTH +: WIDTH];
            pe_memory #(.WIDTH(WIDTH), .WORDS(ACTIVATION_WORDS), .ADDRESS_BITS(AA)) memory (
                .clk(clk),
                .write(activation_load || (result_write && to_activations && result_lane_group[g])),
                .write_address(activation_load ? activation_load_address : result_address[AA-1:0]),
                .write_data(activation_load ? loaded : result_data),
                .read(1'b1), .read_address(activation_address), .read_data(activation_word[g*WIDTH +: WIDTH])
            );
        end
        for (g = 0; g < LANE_GROUPS; g = g + 1) begin : output_buffer
            localparam WIDTH = LANES * ACTIVATION_BITS;
            pe_memory #(.WIDTH(WIDTH), .WORDS(OUTPUT_WORDS), .ADDRESS_BITS(OA)) memory (
                .clk(clk),
                .write(result_write && !to_activations && result_lane_group[g]), .write_address(result_address[OA-1:0]), .write_data(result_data),
                .read(output_read), .read_address(output_read_address), .read_data(output_word[g*WIDTH +: WIDTH])
            );
        end
    endgenerate

    // ---- operands: an activation gets a sign of its own; what must not count is zero
    reg [WEIGHT_WORD_BITS-1:0] weights;
    reg [COLUMNS*(ACTIVATION_BITS+1)-1:0] operands;
    always @(posedge clk) weights <= weight_word;
    generate
        for (g = 0; g < COLUMNS; g = g + 1) begin : operand
            wire [ACTIVATION_BITS-1:0] lane = activation_word[g*ACTIVATION_BITS +: ACTIVATION_BITS];
            always @(posedge clk)
                operands[g*(ACTIVATION_BITS+1) +: ACTIVATION_BITS+1] <=
                    (multiply_1 && !on_padding_1 && lane_groups_1[g/LANES]) ? {signed_operand_1 && lane[ACTIVATION_BITS-1], lane} : 0;
        end
    endgenerate

    // ---- biases: read ahead of their group, taken over when its first step reaches the accumulators
    reg [BIAS_WORDS*WEIGHT_WORD_BITS-1:0] read_biases;
    reg [ROWS*BIAS_BITS-1:0] biases;
    always @(posedge clk) begin
        if (bias_complete_at[two_stages ? 5 : 4]) biases <= read_biases[ROWS*BIAS_BITS-1:0];
    end
    generate
        if (BIAS_WORDS == 1) begin : one_bias_word
            always @(posedge clk) if (read_bias_1) read_biases <= weight_word;
        end else begin : several_bias_words
            always @(posedge clk) if (read_bias_1) read_biases <= {weight_word, read_biases[BIAS_WORDS*WEIGHT_WORD_BITS-1:WEIGHT_WORD_BITS]};
        end
    endgenerate

    // ---- the array
    wire [ROWS*ACCUMULATOR_BITS-1:0] accumulators;
    generate
        for (g = 0; g < ROWS; g = g + 1) begin : row
            pe_row #(
                .COLUMNS(COLUMNS), .WEIGHT_BITS(WEIGHT_BITS), .ACTIVATION_BITS(ACTIVATION_BITS),
                .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .BIAS_BITS(BIAS_BITS)
            ) units (
                .clk(clk), .weights(weights[g*COLUMNS*WEIGHT_BITS +: COLUMNS*WEIGHT_BITS]), .operands(operands),
                .bias(biases[g*BIAS_BITS +: BIAS_BITS]), .first(first_at[two_stages ? 5 : 4]), .shift(shift_at[two_stages ? 5 : 4]),
                .accumulator(accumulators[g*ACCUMULATOR_BITS +: ACCUMULATOR_BITS])
            );
        end
    endgenerate

    pe_results #(
        .ROWS(ROWS), .LANES(LANES), .LANE_GROUPS(LANE_GROUPS), .ACTIVATION_BITS(ACTIVATION_BITS),
        .ACCUMULATOR_BITS(ACCUMULATOR_BITS), .ADDRESS_BITS(RA)
    ) results (
        .clk(clk), .rst(rst), .begin_computation(begin_computation), .fields(fields),
        .finished(last_accumulated), .finished_group(group_ends_accumulated), .accumulators(accumulators),
        .write(result_write), .write_lane_group(result_lane_group), .write_address(result_address), .write_data(result_data)
    );
`endif
endmodule
