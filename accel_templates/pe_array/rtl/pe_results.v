// Takes the accumulators of a finished position and writes them as activations, LANES a cycle: requantisers, lane groups,
// and the place of each in the output planes.
module pe_results #(
    parameter ROWS = 8,
    parameter LANES = 8,
    parameter LANE_GROUPS = 1,
    parameter ACTIVATION_BITS = 8,
    parameter ACCUMULATOR_BITS = 32,
    parameter ADDRESS_BITS = 10
) (
    input wire clk,
    input wire rst,
    input wire begin_computation,
    input wire [895:0] fields,
    input wire finished,
    input wire finished_group,
    input wire [ROWS*ACCUMULATOR_BITS-1:0] accumulators,
    output reg write,
    output reg [LANE_GROUPS-1:0] write_lane_group,
    output reg [ADDRESS_BITS-1:0] write_address,
    output reg [LANES*ACTIVATION_BITS-1:0] write_data
);
    `include "pe_program.vh"
    localparam ACC = ACCUMULATOR_BITS;

    // ---- from the instruction, once
    wire [5:0] shift = fields[I_SHIFT_LSB +: I_SHIFT_BITS];
    wire raw = fields[I_RAW_LSB];
    reg [ACC:0] last_place, below_half, above_result;
    integer i;
    always @(posedge clk) begin
        for (i = 0; i <= ACC; i = i + 1) begin
            last_place[i] <= !raw && i >= 1 && {26'd0, shift} == i + ACTIVATION_BITS;
            // Ones below the bit under the last place.
            below_half[i] <= !raw && {26'd0, shift} > i + 1 + ACTIVATION_BITS;
            above_result[i] <= i > {26'd0, shift};
        end
    end

    // ---- chunks of LANES accumulators
    reg [ROWS*ACC-1:0] held;
    reg chunk_valid, chunk_group_ends;
    reg [4:0] chunks_left;
    wire chunk_last = chunks_left == 5'd0;
    wire [LANES*ACTIVATION_BITS-1:0] rounded;
    always @(posedge clk) begin
        if (rst) chunk_valid <= 1'b0;
        else if (finished) chunk_valid <= 1'b1;
        else if (chunk_last) chunk_valid <= 1'b0;
        if (finished) begin
            chunks_left <= fields[I_CHUNK_LAST_LSB +: I_CHUNK_LAST_BITS];
            chunk_group_ends <= finished_group;
        end else chunks_left <= chunks_left - 5'd1;
    end
    generate
        if (ROWS == LANES) begin : whole
            always @(posedge clk) if (finished) held <= accumulators;
        end else begin : in_chunks
            always @(posedge clk) held <= finished ? accumulators : {{(LANES*ACC){1'b0}}, held[ROWS*ACC-1:LANES*ACC]};
        end
    endgenerate

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : lane
            pe_requantise #(.ACCUMULATOR_BITS(ACC), .ACTIVATION_BITS(ACTIVATION_BITS)) requantise (
                .clk(clk), .accumulator(held[l*ACC +: ACC]),
                .last_place(last_place), .below_half(below_half), .above_result(above_result), .shift(shift), .raw(raw),
                .clip_low(fields[I_CLIP_LOW_LSB +: 10]), .clip_high(fields[I_CLIP_HIGH_LSB +: 10]),
                .result(rounded[l*ACTIVATION_BITS +: ACTIVATION_BITS])
            );
        end
    endgenerate

    reg [3:0] valid_at, last_at, group_ends_at;
    always @(posedge clk) begin
        valid_at <= rst ? 4'd0 : {valid_at[2:0], chunk_valid};
        last_at <= {last_at[2:0], chunk_last};
        group_ends_at <= {group_ends_at[2:0], chunk_group_ends};
    end
    wire out_valid = valid_at[3];

    // ---- places: of the chunk, and of the first chunk of its group
    reg [11:0] plane, group_plane;
    reg [ADDRESS_BITS-1:0] plane_address, group_plane_address, position;
    reg [LANE_GROUPS-1:0] lane_group, group_lane_group;
    wire lane_wraps = lane_group[LANE_GROUPS-1];
    wire [LANE_GROUPS:0] shifted_lane_group = {lane_group, lane_wraps};
    wire [LANE_GROUPS-1:0] next_lane_group = shifted_lane_group[LANE_GROUPS-1:0];
    wire [11:0] next_plane = lane_wraps ? plane + 12'd1 : plane;
    wire [ADDRESS_BITS-1:0] next_plane_address = lane_wraps ? plane_address + fields[I_OUT_PLANE_LSB +: ADDRESS_BITS] : plane_address;

    always @(posedge clk) begin
        if (begin_computation) begin
            plane <= 12'd0;
            group_plane <= 12'd0;
            plane_address <= fields[I_OUT_BASE_LSB +: ADDRESS_BITS];
            group_plane_address <= fields[I_OUT_BASE_LSB +: ADDRESS_BITS];
            position <= 0;
            lane_group <= 1;
            group_lane_group <= 1;
        end else if (out_valid) begin
            if (last_at[3] && !group_ends_at[3]) begin
                position <= position + 1'b1;
                plane <= group_plane;
                plane_address <= group_plane_address;
                lane_group <= group_lane_group;
            end else begin
                plane <= next_plane;
                plane_address <= next_plane_address;
                lane_group <= next_lane_group;
                if (last_at[3]) begin
                    position <= 0;
                    group_plane <= next_plane;
                    group_plane_address <= next_plane_address;
                    group_lane_group <= next_lane_group;
                end
            end
        end
        write <= out_valid && plane <= fields[I_OUT_PLANES_LAST_LSB +: I_OUT_PLANES_LAST_BITS];
        write_lane_group <= lane_group;
        write_address <= plane_address + position;
        write_data <= rounded;
    end
endmodule
