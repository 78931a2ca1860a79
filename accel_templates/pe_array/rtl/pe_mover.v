// Data movements of a phase, in order: store, load 0, load 1, fetch of the next instruction.
//
// The instruction register is here: its movements are read from it, and the fetch, which comes last, overwrites it.
module pe_mover #(
    parameter BUS_BITS = 32,
    parameter WEIGHT_WORD_BEATS = 1,
    parameter ACTIVATION_WORD_BITS = 32,
    parameter ACTIVATION_WORD_BEATS = 1,
    parameter WEIGHT_ADDRESS_BITS = 8,
    parameter ACTIVATION_ADDRESS_BITS = 8,
    parameter OUTPUT_ADDRESS_BITS = 8
) (
    input wire clk,
    input wire rst,
`ifdef TIMING_ONLY
    input wire [7:0] cfg_fetch_beats,
`endif
    input wire begin_phase,
    input wire begin_fetch,
    input wire [31:0] program_address,
    output reg fetched,
    output wire idle,
    output reg [895:0] instruction,

    output wire weight_write,
    output reg [WEIGHT_ADDRESS_BITS-1:0] weight_address,
    output reg [WEIGHT_WORD_BEATS-1:0] weight_slice,
    output wire activation_write,
    output reg [ACTIVATION_ADDRESS_BITS-1:0] activation_address,
    output wire [ACTIVATION_WORD_BITS-1:0] activation_word,
    output wire output_read,
    output reg [OUTPUT_ADDRESS_BITS-1:0] output_address,
    input wire [ACTIVATION_WORD_BITS-1:0] output_word,

    output wire [31:0] m_axi_araddr,
    output wire [7:0] m_axi_arlen,
    output wire m_axi_arvalid,
    input wire m_axi_arready,
    input wire [BUS_BITS-1:0] m_axi_rdata,
    input wire m_axi_rlast,
    input wire m_axi_rvalid,
    output wire [31:0] m_axi_awaddr,
    output wire [7:0] m_axi_awlen,
    output wire m_axi_awvalid,
    input wire m_axi_awready,
    output wire [BUS_BITS-1:0] m_axi_wdata,
    output wire m_axi_wlast,
    output wire m_axi_wvalid,
    input wire m_axi_wready,
    input wire m_axi_bvalid
);
    `include "pe_program.vh"
    localparam FETCH_BEATS = INSTRUCTION_BITS / BUS_BITS;
    localparam IDLE = 3'd0, STORE = 3'd1, LOAD0 = 3'd2, LOAD1 = 3'd3, FETCH = 3'd4;

    // ---- order of the movements
    reg [2:0] state;
    reg issued;
    wire bursts_active;
    wire enabled =
        (state == STORE) ? instruction[I_STORE_LSB] :
        (state == LOAD0) ? instruction[I_LOAD0_LSB] :
        (state == LOAD1) ? instruction[I_LOAD1_LSB] : state == FETCH;
    wire begin_movement = enabled && !issued;
    reg [11:0] outstanding;
    wire nothing_queued;
    wire moved = issued && !bursts_active && outstanding == 12'd0 && nothing_queued;
    wire leave = moved || (state != IDLE && !enabled);

    assign idle = state == IDLE;

    always @(posedge clk) begin
        fetched <= 1'b0;
        if (rst) begin
            state <= IDLE;
            issued <= 1'b0;
        end else if (begin_phase) begin
            state <= STORE;
        end else if (begin_fetch) begin
            state <= FETCH;
        end else if (leave) begin
            issued <= 1'b0;
            fetched <= state == FETCH;
            case (state)
                STORE: state <= LOAD0;
                LOAD0: state <= LOAD1;
                LOAD1: state <= FETCH;
                default: state <= IDLE;
            endcase
        end else if (begin_movement) begin
            issued <= 1'b1;
        end
    end

    // ---- bursts
`ifdef TIMING_ONLY
    wire [21:0] fetch_beats = {14'd0, cfg_fetch_beats};
`else
    wire [21:0] fetch_beats = FETCH_BEATS[21:0];
`endif
    wire [31:0] address =
        (state == STORE) ? instruction[I_STORE_ADDRESS_LSB +: I_STORE_ADDRESS_BITS] :
        (state == LOAD0) ? instruction[I_LOAD0_ADDRESS_LSB +: I_LOAD0_ADDRESS_BITS] :
        (state == LOAD1) ? instruction[I_LOAD1_ADDRESS_LSB +: I_LOAD1_ADDRESS_BITS] : program_address;
    wire [25:0] stride =
        (state == STORE) ? instruction[I_STORE_STRIDE_LSB +: I_STORE_STRIDE_BITS] :
        (state == LOAD0) ? instruction[I_LOAD0_STRIDE_LSB +: I_LOAD0_STRIDE_BITS] :
        (state == LOAD1) ? instruction[I_LOAD1_STRIDE_LSB +: I_LOAD1_STRIDE_BITS] : 26'd0;
    wire [21:0] beats =
        (state == STORE) ? instruction[I_STORE_BEATS_LSB +: I_STORE_BEATS_BITS] :
        (state == LOAD0) ? instruction[I_LOAD0_BEATS_LSB +: I_LOAD0_BEATS_BITS] :
        (state == LOAD1) ? instruction[I_LOAD1_BEATS_LSB +: I_LOAD1_BEATS_BITS] : fetch_beats;
    wire [11:0] chunks_last =
        (state == STORE) ? instruction[I_STORE_CHUNKS_LAST_LSB +: I_STORE_CHUNKS_LAST_BITS] :
        (state == LOAD0) ? instruction[I_LOAD0_CHUNKS_LAST_LSB +: I_LOAD0_CHUNKS_LAST_BITS] :
        (state == LOAD1) ? instruction[I_LOAD1_CHUNKS_LAST_LSB +: I_LOAD1_CHUNKS_LAST_BITS] : 12'd0;

    wire [31:0] burst_address;
    wire [7:0] burst_last;
    wire storing = state == STORE;
    wire queue_full;
    wire read_taken = m_axi_arvalid && m_axi_arready;
    wire write_taken = m_axi_awvalid && m_axi_awready;

    pe_bursts #(.BUS_BYTES(BUS_BITS / 8)) bursts (
        .clk(clk), .rst(rst), .begin_movement(begin_movement),
        .address(address), .stride(stride), .beats(beats), .chunks_last(chunks_last),
        .active(bursts_active), .burst_address(burst_address), .burst_last(burst_last),
        .taken(read_taken || write_taken)
    );

    assign m_axi_araddr = burst_address;
    assign m_axi_arlen = burst_last;
    assign m_axi_arvalid = bursts_active && !storing;
    assign m_axi_awaddr = burst_address;
    assign m_axi_awlen = burst_last;
    // Data do not wait for the address to be taken: a burst is queued when it is first offered.
    reg offered;
    wire offer = bursts_active && storing && !queue_full && !offered;
    assign m_axi_awvalid = bursts_active && storing && (!queue_full || offered);
    always @(posedge clk) begin
        if (rst || write_taken) offered <= 1'b0;
        else if (offer) offered <= 1'b1;
    end

    wire answered = storing ? m_axi_bvalid : m_axi_rvalid && m_axi_rlast;
    always @(posedge clk) begin
        if (rst) outstanding <= 12'd0;
        else if ((read_taken || write_taken) && !answered) outstanding <= outstanding + 12'd1;
        else if (!(read_taken || write_taken) && answered) outstanding <= outstanding - 12'd1;
    end

    // ---- words in
    wire to_weights = state == LOAD0 && instruction[I_LOAD0_WEIGHTS_LSB];
    wire to_activations = state == LOAD1 || (state == LOAD0 && !instruction[I_LOAD0_WEIGHTS_LSB]);
    wire last_slice = weight_slice[WEIGHT_WORD_BEATS-1];
    wire [WEIGHT_WORD_BEATS:0] next_slice = {weight_slice, last_slice};

    assign weight_write = m_axi_rvalid && to_weights;

    always @(posedge clk) begin
        if (begin_movement) begin
            weight_address <= instruction[I_LOAD0_WORD_LSB +: WEIGHT_ADDRESS_BITS];
            weight_slice <= 1;
        end else if (weight_write) begin
            if (last_slice) weight_address <= weight_address + 1'b1;
            weight_slice <= next_slice[WEIGHT_WORD_BEATS-1:0];
        end
    end

    generate
        if (ACTIVATION_WORD_BEATS == 1) begin : whole_word
            assign activation_word = m_axi_rdata[ACTIVATION_WORD_BITS-1:0];
            assign activation_write = m_axi_rvalid && to_activations;
        end else begin : assembled_word
            localparam HELD = (ACTIVATION_WORD_BEATS - 1) * BUS_BITS;
            reg [HELD-1:0] held;
            localparam LAST = ACTIVATION_WORD_BEATS - 1;
            reg [$clog2(ACTIVATION_WORD_BEATS)-1:0] beat;
            wire [HELD+BUS_BITS-1:0] all = {m_axi_rdata, held};
            wire last_beat = beat == LAST[$clog2(ACTIVATION_WORD_BEATS)-1:0];
            always @(posedge clk) begin
                if (begin_movement) beat <= 0;
                else if (m_axi_rvalid && to_activations) begin
                    beat <= last_beat ? 0 : beat + 1'b1;
                    held <= all[HELD+BUS_BITS-1:BUS_BITS];
                end
            end
            assign activation_word = all[ACTIVATION_WORD_BITS-1:0];
            assign activation_write = m_axi_rvalid && to_activations && last_beat;
        end
    endgenerate

    always @(posedge clk) begin
        if (begin_movement)
            activation_address <= (state == LOAD0) ? instruction[I_LOAD0_WORD_LSB +: ACTIVATION_ADDRESS_BITS]
                                                   : instruction[I_LOAD1_WORD_LSB +: ACTIVATION_ADDRESS_BITS];
        else if (activation_write) activation_address <= activation_address + 1'b1;
    end

    // ---- instruction in
`ifdef TIMING_ONLY
    // An instruction has INSTRUCTION_BITS / BUS_BITS beats of this build's bus; the others only take time.
    reg [7:0] fetch_beat;
    always @(posedge clk) begin
        if (begin_movement) fetch_beat <= 8'd0;
        else if (m_axi_rvalid) fetch_beat <= fetch_beat + 8'd1;
        if (m_axi_rvalid && state == FETCH && fetch_beat < FETCH_BEATS[7:0]) instruction <= {m_axi_rdata, instruction[895:BUS_BITS]};
    end
`else
    always @(posedge clk) begin
        if (m_axi_rvalid && state == FETCH) instruction <= {m_axi_rdata, instruction[895:BUS_BITS]};
    end
`endif

    // ---- words out: a queue of two bursts, and a word read ahead
    reg [7:0] queue [0:1];
    reg [1:0] queued;
    reg write_active;
    reg [7:0] write_left;
    reg word_ready;
    wire write_fire = m_axi_wvalid && m_axi_wready;
    wire burst_done = write_fire && m_axi_wlast;
    wire pop = queued != 2'd0 && (!write_active || burst_done);

    assign queue_full = queued[1];
    assign nothing_queued = queued == 2'd0 && !write_active;
    assign m_axi_wvalid = write_active && word_ready;
    assign m_axi_wlast = write_left == 8'd0;

    always @(posedge clk) begin
        if (pop) queue[0] <= queue[1];
        if (offer) queue[(queued == 2'd1 && !pop) ? 1 : 0] <= burst_last;
        if (rst) queued <= 2'd0;
        else if (offer && !pop) queued <= queued + 2'd1;
        else if (!offer && pop) queued <= queued - 2'd1;
        if (rst) write_active <= 1'b0;
        else if (pop) write_active <= 1'b1;
        else if (burst_done) write_active <= 1'b0;
        if (pop) write_left <= queue[0];
        else if (write_fire) write_left <= write_left - 8'd1;
    end

    wire word_used;
    assign output_read = storing && issued && (!word_ready || word_used);
    always @(posedge clk) begin
        if (rst || begin_movement) word_ready <= 1'b0;
        else if (output_read) word_ready <= 1'b1;
        if (begin_movement) output_address <= instruction[I_STORE_WORD_LSB +: OUTPUT_ADDRESS_BITS];
        else if (output_read) output_address <= output_address + 1'b1;
    end

    generate
        if (ACTIVATION_WORD_BEATS == 1) begin : whole_out
            assign word_used = write_fire;
            if (BUS_BITS == ACTIVATION_WORD_BITS) begin : full
                assign m_axi_wdata = output_word;
            end else begin : padded
                assign m_axi_wdata = {{(BUS_BITS - ACTIVATION_WORD_BITS){1'b0}}, output_word};
            end
        end else begin : sliced_out
            localparam LAST = ACTIVATION_WORD_BEATS - 1;
            localparam PADDED = ACTIVATION_WORD_BEATS * BUS_BITS;
            reg [$clog2(ACTIVATION_WORD_BEATS)-1:0] out_beat;
            wire last_out = out_beat == LAST[$clog2(ACTIVATION_WORD_BEATS)-1:0];
            wire [PADDED-1:0] padded_word;
            if (PADDED == ACTIVATION_WORD_BITS) begin : full
                assign padded_word = output_word;
            end else begin : padded
                assign padded_word = {{(PADDED - ACTIVATION_WORD_BITS){1'b0}}, output_word};
            end
            assign word_used = write_fire && last_out;
            assign m_axi_wdata = padded_word[out_beat * BUS_BITS +: BUS_BITS];
            always @(posedge clk) begin
                if (begin_movement) out_beat <= 0;
                else if (write_fire) out_beat <= last_out ? 0 : out_beat + 1'b1;
            end
        end
    endgenerate
endmodule
