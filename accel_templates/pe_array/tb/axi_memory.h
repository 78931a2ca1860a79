// External memory behind the AXI4 port of pe_array: latency, stalls, and every rule of the bus that the array must keep.
//
// An address is taken in every cycle. A burst's first beat comes `latency` cycles after its address at the earliest, in
// the order of the addresses, one beat a cycle without a gap between bursts. A response comes `latency` cycles after the
// burst's last beat; data written are seen from then on, not before. With stalls, ready and valid stay low in cycles
// drawn at random.

#ifndef AXI_MEMORY_H
#define AXI_MEMORY_H

#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

static_assert(std::endian::native == std::endian::little, "the bus is copied byte by byte");

using Bytes = std::vector<std::uint8_t>;

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u | 1) {}
    std::uint64_t next() {  // xorshift64* (Vigna, 2016)
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du;
    }
    bool chance(std::uint32_t of_256) { return of_256 != 0 && next() >> 56 < of_256; }

private:
    std::uint64_t state_;
};

// What the array offers on a channel and the memory did not take must be offered again, unchanged.
template <class Payload>
class Offer {
public:
    bool kept(bool valid, bool ready, const Payload& payload) {
        const bool unchanged = !held_ || (valid && payload == payload_);
        held_ = valid && !ready;
        if (held_) payload_ = payload;
        return unchanged;
    }

private:
    bool held_ = false;
    Payload payload_{};
};

// Model: the verilated top module.
template <class Model>
class AxiMemory {
public:
    static constexpr std::size_t BEAT = sizeof(Model::m_axi_rdata);  // bytes of a beat
    static constexpr std::uint64_t PAGE = 4096;                      // no burst crosses its boundary (AMBA AXI, A3.4.1)

    Bytes bytes;
    std::uint64_t latency = 8;
    std::uint32_t stall = 0;  // of 256 cycles
    bool timing_only = false;  // addresses mean nothing: no checks of them, zeros outside `bytes`, nothing is written

    AxiMemory(Model& model, std::uint64_t seed) : model_(model), random_(seed) {
        model_.m_axi_rresp = model_.m_axi_bresp = 0;
        clear();
    }

    // Forget everything under way; for the time of a reset.
    void clear() {
        model_.m_axi_arready = model_.m_axi_awready = model_.m_axi_wready = 0;
        model_.m_axi_rvalid = model_.m_axi_rlast = model_.m_axi_bvalid = 0;
        reads_.clear(), writes_.clear(), beats_.clear(), responses_.clear();
        address_read_ = {}, address_write_ = {}, data_write_ = {};
        read_held_ = write_held_ = response_held_ = false;
    }

    // Nothing is under way.
    bool idle() const { return reads_.empty() && writes_.empty() && beats_.empty() && responses_.empty(); }

    // Before the clock edge that ends `cycle`, all signals settled: check and take what is handed over.
    void sample(std::uint64_t cycle) {
        cycle_ = cycle;
        sample_addresses();
        sample_data();
        if (model_.m_axi_rvalid && model_.m_axi_rready && ++reads_.front().done == reads_.front().beats) reads_.pop_front();
        read_held_ = model_.m_axi_rvalid && !model_.m_axi_rready;
        if (model_.m_axi_bvalid && model_.m_axi_bready) responses_.pop_front();
        response_held_ = model_.m_axi_bvalid && !model_.m_axi_bready;
    }

    // After the clock edge: what the memory says in the next cycle.
    void drive() {
        model_.m_axi_arready = !random_.chance(stall);
        // A memory may take an address only once it sees data: whoever holds data back until then waits for ever (A3.3.1).
        const bool data_seen = model_.m_axi_wvalid || !beats_.empty();
        model_.m_axi_awready = stall == 0 || (data_seen && !random_.chance(stall));
        model_.m_axi_wready = !random_.chance(stall);
        if (!read_held_) offer_beat();
        if (!response_held_) offer_response();
    }

private:
    struct Address {
        std::uint32_t address, length, size, kind;
        bool operator==(const Address&) const = default;
    };
    struct Beat {
        std::uint8_t data[BEAT];
        std::uint32_t strobe;
        bool last;
        bool operator==(const Beat& other) const {
            return std::memcmp(data, other.data, BEAT) == 0 && strobe == other.strobe && last == other.last;
        }
    };
    struct Read {
        std::uint64_t address, due;
        std::uint32_t beats, done;
    };
    struct Write {
        std::uint64_t address, due;
        std::uint32_t beats;
        std::vector<Beat> data;
    };

    Model& model_;
    Random random_;
    std::uint64_t cycle_ = 0;
    std::deque<Read> reads_;
    std::deque<Write> writes_, responses_;
    std::deque<Beat> beats_;  // written before their address
    Offer<Address> address_read_, address_write_;
    Offer<Beat> data_write_;
    bool read_held_ = false, write_held_ = false, response_held_ = false;

    [[noreturn]] void broken(const std::string& what) const { throw std::runtime_error("cycle " + std::to_string(cycle_) + ": " + what); }

    void sample_addresses() {
        const Address read{model_.m_axi_araddr, model_.m_axi_arlen, model_.m_axi_arsize, model_.m_axi_arburst};
        if (!address_read_.kept(model_.m_axi_arvalid, model_.m_axi_arready, read)) broken("a read address changed before it was taken");
        if (model_.m_axi_arvalid && model_.m_axi_arready) {
            check(read, "read");
            reads_.push_back({read.address, cycle_ + latency, read.length + 1, 0});
        }
        const Address write{model_.m_axi_awaddr, model_.m_axi_awlen, model_.m_axi_awsize, model_.m_axi_awburst};
        if (!address_write_.kept(model_.m_axi_awvalid, model_.m_axi_awready, write)) broken("a write address changed before it was taken");
        if (model_.m_axi_awvalid && model_.m_axi_awready) {
            check(write, "write");
            writes_.push_back({write.address, 0, write.length + 1, {}});
        }
    }

    void check(const Address& burst, const char* kind) const {
        if (timing_only) return;
        const std::uint64_t end = burst.address + (std::uint64_t{burst.length} + 1) * BEAT;
        const std::string name = std::string(kind) + " burst of " + std::to_string(burst.length + 1) + " beats at " + std::to_string(burst.address);
        if (burst.kind != 1 || std::size_t{1} << burst.size != BEAT) broken(name + ": not INCR, or not of the bus's width");
        if (burst.address % BEAT != 0) broken(name + ": not aligned to the bus");
        if (burst.address / PAGE != (end - 1) / PAGE) broken(name + ": crosses a boundary of 4 KiB");
        if (end > bytes.size()) broken(name + ": leaves the memory of " + std::to_string(bytes.size()) + " bytes");
    }

    void sample_data() {
        if (model_.m_axi_wvalid || write_held_) {
            Beat beat{{}, model_.m_axi_wstrb, model_.m_axi_wlast != 0};
            std::memcpy(beat.data, &model_.m_axi_wdata, BEAT);
            if (!data_write_.kept(model_.m_axi_wvalid, model_.m_axi_wready, beat)) broken("a write beat changed before it was taken");
            write_held_ = !model_.m_axi_wready;
            if (model_.m_axi_wready) beats_.push_back(beat);
        }
        while (!writes_.empty() && !beats_.empty()) {
            Write& burst = writes_.front();
            burst.data.push_back(beats_.front());
            beats_.pop_front();
            const bool complete = burst.data.size() == burst.beats;
            if (burst.data.back().last != complete) broken("WLAST is wrong at beat " + std::to_string(burst.data.size()) + " of " + std::to_string(burst.beats));
            if (complete) {
                burst.due = cycle_ + latency;
                responses_.push_back(std::move(burst));
                writes_.pop_front();
            }
        }
    }

    void offer_beat() {
        model_.m_axi_rvalid = !reads_.empty() && reads_.front().due <= cycle_ + 1 && !random_.chance(stall);
        if (!model_.m_axi_rvalid) return;
        const Read& burst = reads_.front();
        const std::uint64_t address = burst.address + burst.done * BEAT;
        if (address + BEAT <= bytes.size()) std::memcpy(&model_.m_axi_rdata, bytes.data() + address, BEAT);
        else std::memset(&model_.m_axi_rdata, 0, BEAT);
        model_.m_axi_rlast = burst.done + 1 == burst.beats;
    }

    void offer_response() {
        model_.m_axi_bvalid = !responses_.empty() && responses_.front().due <= cycle_ + 1 && !random_.chance(stall);
        if (!model_.m_axi_bvalid) return;
        if (timing_only) return;
        const Write& burst = responses_.front();
        for (std::size_t i = 0; i < burst.data.size(); ++i)
            for (std::size_t k = 0; k < BEAT; ++k)
                if (burst.data[i].strobe >> k & 1) bytes[burst.address + i * BEAT + k] = burst.data[i].data[k];
    }
};

#endif
