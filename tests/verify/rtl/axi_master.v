// A bus master with the ports of pe_array, to test the test bench: it reads four words at the program's address (mode,
// address, beats, first value), writes `beats` counted-up words to the address, and is done. Each mode but 0 breaks one
// rule of the bus or of start and done.
module pe_array #(
    parameter BUS_BITS = 32
) (
    input wire clk,
    input wire rst,
    input wire start,
    input wire [31:0] program_address,
    output reg done,
    output wire busy,
    output wire error,
    output wire [31:0] m_axi_araddr,
    output wire [7:0] m_axi_arlen,
    output wire [2:0] m_axi_arsize,
    output wire [1:0] m_axi_arburst,
    output reg m_axi_arvalid,
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
    output reg m_axi_awvalid,
    input wire m_axi_awready,
    output wire [BUS_BITS-1:0] m_axi_wdata,
    output wire [BUS_BITS/8-1:0] m_axi_wstrb,
    output wire m_axi_wlast,
    output reg m_axi_wvalid,
    input wire m_axi_wready,
    input wire [1:0] m_axi_bresp,
    input wire m_axi_bvalid,
    output wire m_axi_bready
);
    localparam EARLY_LAST = 1, WITHOUT_RESPONSE = 2, FIXED_BURST = 3, NEVER_DONE = 4, DONE_TWICE = 5, RESTLESS_ADDRESS = 6,
               RESTLESS_DATA = 7, BUSY_AFTER = 8, REPORTS_ERROR = 9;

    reg [31:0] mode, address, beats, value, sent, from;
    reg active, ended;
    wire finished = (m_axi_bvalid || (mode == WITHOUT_RESPONSE && m_axi_wvalid && m_axi_wready && m_axi_wlast)) && mode != NEVER_DONE;
    reg [31:0] restless;

    assign busy = active || (ended && mode == BUSY_AFTER);
    assign error = mode == REPORTS_ERROR;
    assign m_axi_araddr = from;
    assign m_axi_arlen = 8'd3;
    assign m_axi_arsize = 3'd2;
    assign m_axi_arburst = 2'd1;
    assign m_axi_rready = 1'b1;
    assign m_axi_awaddr = address + (mode == RESTLESS_ADDRESS ? restless << 2 : 32'd0);
    assign m_axi_awlen = beats[7:0] - 8'd1;
    assign m_axi_awsize = 3'd2;
    assign m_axi_awburst = (mode == FIXED_BURST) ? 2'd0 : 2'd1;
    assign m_axi_wdata = value + sent + (mode == RESTLESS_DATA ? restless : 32'd0);
    assign m_axi_wstrb = 4'b0111;
    assign m_axi_wlast = sent + 32'd1 == beats - (mode == EARLY_LAST ? 32'd1 : 32'd0);
    assign m_axi_bready = 1'b1;

    always @(posedge clk) begin
        restless <= restless + 32'd1;
        done <= 1'b0;
        ended <= done;
        if (m_axi_arready) m_axi_arvalid <= 1'b0;
        if (m_axi_awready) m_axi_awvalid <= 1'b0;
        if (start) begin
            active <= 1'b1;
            from <= program_address;
            m_axi_arvalid <= 1'b1;
        end
        if (m_axi_rvalid) begin
            {value, beats, address, mode} <= {m_axi_rdata, value, beats, address};
            if (m_axi_rlast) begin
                m_axi_awvalid <= 1'b1;
                m_axi_wvalid <= 1'b1;
                sent <= 32'd0;
            end
        end
        if (m_axi_wvalid && m_axi_wready) begin
            sent <= sent + 32'd1;
            if (m_axi_wlast) m_axi_wvalid <= 1'b0;
        end
        if (active && finished) begin
            active <= 1'b0;
            done <= 1'b1;
        end
        if (done && mode == DONE_TWICE && !ended) done <= 1'b1;
        if (rst) begin
            active <= 1'b0;
            m_axi_arvalid <= 1'b0;
            m_axi_awvalid <= 1'b0;
            m_axi_wvalid <= 1'b0;
            done <= 1'b0;
            ended <= 1'b0;
            restless <= 32'd0;
        end
    end
endmodule
