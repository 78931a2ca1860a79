// Rounds an accumulator half to even at a bit position, shifts it, and clips it to a format; one lane, four stages.
module pe_requantise #(
    parameter ACCUMULATOR_BITS = 32,
    parameter ACTIVATION_BITS = 8
) (
    input wire clk,
    input wire [ACCUMULATOR_BITS-1:0] accumulator,
    // Decoded once an instruction: the bit that becomes the last place, half of it less one, the bits above the result.
    input wire [ACCUMULATOR_BITS:0] last_place,
    input wire [ACCUMULATOR_BITS:0] below_half,
    input wire [ACCUMULATOR_BITS:0] above_result,
    input wire [5:0] shift,
    input wire raw,
    input wire signed [9:0] clip_low,
    input wire signed [9:0] clip_high,
    output reg [ACTIVATION_BITS-1:0] result
);
    localparam W = ACCUMULATOR_BITS + 1;
    localparam V = ACTIVATION_BITS + 2;
    wire [W-1:0] value = {accumulator[ACCUMULATOR_BITS-1], accumulator};

    reg [W-1:0] held, rounded;
    reg odd;
    // The zeros below are for left shifts, the signs above for shifts by more than the accumulator holds.
    wire [V+W+ACTIVATION_BITS-1:0] wide = {{V{rounded[W-1]}}, rounded, {ACTIVATION_BITS{1'b0}}};
    wire [V+W+ACTIVATION_BITS-1:0] shifted = wide >> shift;
    reg signed [V-1:0] window;
    reg negative, outside;
    wire signed [9:0] compared = {{(10 - V){window[V-1]}}, window};
    wire too_low = outside ? negative : compared < clip_low;
    wire too_high = outside ? !negative : compared > clip_high;

    always @(posedge clk) begin
        held <= value;
        odd <= |(value & last_place);
        rounded <= held + below_half + {{(W - 1){1'b0}}, odd};
        window <= shifted[V-1:0];
        negative <= rounded[W-1];
        outside <= |((rounded ^ {W{rounded[W-1]}}) & above_result);
        result <= (raw || !(too_low || too_high)) ? window[ACTIVATION_BITS-1:0] : too_low ? clip_low[ACTIVATION_BITS-1:0] : clip_high[ACTIVATION_BITS-1:0];
    end
endmodule
