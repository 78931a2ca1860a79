// Sum of COUNT signed numbers, without registers.
module pe_adder_tree #(
    parameter COUNT = 8,
    parameter WIDTH = 16,
    parameter SUM_WIDTH = 19
) (
    input wire [COUNT*WIDTH-1:0] terms,
    output wire signed [SUM_WIDTH-1:0] sum
);
    generate
        if (COUNT == 1) begin : leaf
            assign sum = {{(SUM_WIDTH - WIDTH + 1){terms[WIDTH-1]}}, terms[WIDTH-2:0]};
        end else begin : node
            localparam LOW = COUNT / 2;
            localparam HIGH = COUNT - LOW;
            localparam LOW_WIDTH = WIDTH + $clog2(LOW);
            localparam HIGH_WIDTH = WIDTH + $clog2(HIGH);
            wire signed [LOW_WIDTH-1:0] low;
            wire signed [HIGH_WIDTH-1:0] high;
            pe_adder_tree #(.COUNT(LOW), .WIDTH(WIDTH), .SUM_WIDTH(LOW_WIDTH)) low_half (.terms(terms[LOW*WIDTH-1:0]), .sum(low));
            pe_adder_tree #(.COUNT(HIGH), .WIDTH(WIDTH), .SUM_WIDTH(HIGH_WIDTH)) high_half (.terms(terms[COUNT*WIDTH-1:LOW*WIDTH]), .sum(high));
            assign sum = {{(SUM_WIDTH - LOW_WIDTH){low[LOW_WIDTH-1]}}, low} + {{(SUM_WIDTH - HIGH_WIDTH){high[HIGH_WIDTH-1]}}, high};
        end
    endgenerate
endmodule
