// One processing element of the row: it keeps the kernels of its output channels and sums one output at a time.
//
// A wave of operands and its commands comes from the left neighbour and goes on to the right one a cycle later. Sums travel
// right as well, two cycles an element: the element on the far left hands over first and arrives last, one result a cycle.
//
// The address of the weight runs a cycle ahead of its operand. The product of a unit layer (add, global pool) is the operand
// itself, aligned: it is 8 bits wider than what is multiplied.

`default_nettype none

module row_pe #(
    parameter INDEX = 0,
    parameter SLOT_BITS = 3,
    parameter WEIGHT_BITS = 8,
    parameter OPERAND_BITS = 9,
    parameter ACCUMULATOR_BITS = 24,
    parameter KERNEL_WORDS = 1024,
    parameter KERNEL_ADDRESS_BITS = 10
) (
    input  wire                                clk,
    input  wire                                rst,
    input  wire                                load_en,
    input  wire        [KERNEL_ADDRESS_BITS-1:0] load_address,
    input  wire        [WEIGHT_BITS-1:0]         load_data,
    // the wave: {valid, first, last, diagonal, unit}
    input  wire        [4:0]                     command_in,
    input  wire        [SLOT_BITS-1:0]           slot_in,
    input  wire        [KERNEL_ADDRESS_BITS-1:0] kernel_in,
    input  wire signed [OPERAND_BITS+7:0]        operand_in,
    output reg         [4:0]                     command_out,
    output reg         [SLOT_BITS-1:0]           slot_out,
    output reg         [KERNEL_ADDRESS_BITS-1:0] kernel_out,
    output reg  signed [OPERAND_BITS+7:0]        operand_out,
    input  wire                                  sum_valid_in,
    input  wire signed [ACCUMULATOR_BITS-1:0]    sum_in,
    output reg                                   sum_valid_out,
    output reg  signed [ACCUMULATOR_BITS-1:0]    sum_out
);
    localparam [31:0] NUMBER = INDEX;
    localparam [SLOT_BITS-1:0] OWN = NUMBER[SLOT_BITS-1:0];
    localparam UNIT_BITS = OPERAND_BITS + 8;
    localparam PRODUCT_BITS = (OPERAND_BITS + WEIGHT_BITS > UNIT_BITS) ? OPERAND_BITS + WEIGHT_BITS : UNIT_BITS;

    (* ram_style = "block", no_rw_check *) reg [WEIGHT_BITS-1:0] kernel_memory [0:KERNEL_WORDS-1];
    reg        [WEIGHT_BITS-1:0] kernel_word;
    reg signed [WEIGHT_BITS-1:0] weight;

    always @(posedge clk) begin
        if (load_en) kernel_memory[load_address] <= load_data;
        kernel_word <= kernel_memory[kernel_in];
    end

    always @(posedge clk) begin
        command_out <= rst ? 5'd0 : command_in;
        slot_out    <= slot_in;
        kernel_out  <= kernel_in;
        operand_out <= operand_in;
        weight      <= kernel_word;
    end

    wire valid = command_out[4], first = command_out[3], last = command_out[2], diagonal = command_out[1], unit = command_out[0];
    wire signed [OPERAND_BITS-1:0]             factor = operand_out[OPERAND_BITS-1:0];
    wire signed [OPERAND_BITS+WEIGHT_BITS-1:0] multiplied = factor * weight;

    reg signed [PRODUCT_BITS-1:0]      product;
    wire signed [ACCUMULATOR_BITS-1:0] extended = {{(ACCUMULATOR_BITS-PRODUCT_BITS){product[PRODUCT_BITS-1]}}, product};
    reg signed [ACCUMULATOR_BITS-1:0]  accumulator, passed;
    reg                               add, restart, hand_over, handed_over, passed_valid;

    always @(posedge clk) begin
        product     <= unit ? {{(PRODUCT_BITS-UNIT_BITS){operand_out[UNIT_BITS-1]}}, operand_out}
                            : {{(PRODUCT_BITS-OPERAND_BITS-WEIGHT_BITS){multiplied[OPERAND_BITS+WEIGHT_BITS-1]}}, multiplied};
        add         <= valid & (~diagonal | (slot_out == OWN));
        restart     <= first;
        // In a full layer the slot says which elements are in use; a diagonal one ends with the last of them.
        /* verilator lint_off UNSIGNED */  // always true in element 0
        hand_over   <= valid & last & (slot_out >= OWN) & ~rst;
        /* verilator lint_on UNSIGNED */
        if (add) accumulator <= restart ? extended : accumulator + extended;
        handed_over   <= hand_over & ~rst;
        passed_valid  <= sum_valid_in & ~rst;
        passed        <= sum_in;
        sum_valid_out <= (handed_over | passed_valid) & ~rst;
        sum_out       <= handed_over ? accumulator : passed;
    end
endmodule

`default_nettype wire
