// Cuts a movement (chunks of beats, a stride apart) into AXI4 bursts, one a cycle: of at most 256 beats within an aligned
// block of 256 beats, so that none crosses a page of 4 KiB (a bus has at most 128 bits).
module pe_bursts #(
    parameter BUS_BYTES = 4
) (
    input wire clk,
    input wire rst,
    input wire begin_movement,
    input wire [31:0] address,
    input wire [25:0] stride,
    input wire [21:0] beats,
    input wire [11:0] chunks_last,
    output reg active,
    output reg [31:0] burst_address,
    output wire [7:0] burst_last,
    input wire taken
);
    localparam BYTE_BITS = $clog2(BUS_BYTES);
    localparam BLOCK_LSB = BYTE_BITS + 8;

    reg [31:0] chunk_address;
    reg [21:0] left;
    reg [11:0] chunks_left;

    // Beats from the address to the end of its block, minus one, are its inverted low bits.
    wire [7:0] to_end = ~burst_address[BYTE_BITS +: 8];
    wire [22:0] beyond = {1'b0, left} - {15'd0, to_end} - 23'd1;
    wire cut = !beyond[22] && beyond[21:0] != 22'd0;
    wire [7:0] left_last = left[7:0] - 8'd1;
    wire [31:0] next_chunk = chunk_address + {6'd0, stride};
    wire [31:0] next_block = {burst_address[31:BLOCK_LSB] + 1'b1, {BLOCK_LSB{1'b0}}};

    assign burst_last = cut ? to_end : left_last;

    always @(posedge clk) begin
        if (begin_movement) begin
            burst_address <= address;
            chunk_address <= address;
            left <= beats;
            chunks_left <= chunks_last;
        end else if (taken) begin
            if (cut) begin
                burst_address <= next_block;
                left <= beyond[21:0];
            end else begin
                burst_address <= next_chunk;
                chunk_address <= next_chunk;
                left <= beats;
                chunks_left <= chunks_left - 12'd1;
            end
        end
        if (rst) active <= 1'b0;
        else if (begin_movement) active <= 1'b1;
        else if (taken && !cut && chunks_left == 12'd0) active <= 1'b0;
    end
endmodule
