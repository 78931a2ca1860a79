// One write and one read port; the read takes a cycle. What a read of the word being written gives does not matter.
module pe_memory #(
    parameter WIDTH = 8,
    parameter WORDS = 16,
    parameter ADDRESS_BITS = 4
) (
    input wire clk,
    input wire write,
    input wire [ADDRESS_BITS-1:0] write_address,
    input wire [WIDTH-1:0] write_data,
    input wire read,
    input wire [ADDRESS_BITS-1:0] read_address,
    output reg [WIDTH-1:0] read_data
);
    (* ram_style = "block", no_rw_check *)
    reg [WIDTH-1:0] words [0:WORDS-1];

    always @(posedge clk) begin
        if (write) words[write_address] <= write_data;
        if (read) read_data <= words[read_address];
    end
endmodule
