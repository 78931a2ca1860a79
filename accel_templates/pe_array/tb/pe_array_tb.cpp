// Test bench of pe_array: programs and data from files; see axi_memory.h for the memory.
//
//   pe_array_tb run JOB IMAGE INPUTS OUTPUTS CYCLES [options]   programs on data
//   pe_array_tb timing POINTS CYCLES [--limit N]                cycles of many programs (built with TIMING_ONLY)
//
//   --latency N  of the memory, in cycles, at least 1 (8)
//   --stall N    keep each ready and valid low in N of 256 cycles (0), and take no write address before data: results stay, cycles grow
//   --seed N     of the stalls, and of what registers and buffers hold before reset (1)
//   --limit N    cycles after which a program is taken for stuck (2^40)
//   --expected F the outputs that OUTPUTS must equal where --mask has ones; a difference is an error
//   --mask F     bytes of one run's outputs; all ones without
//   --trace F    waveform (built with --trace-vcd) or activity (--trace-saif) of the whole job
//
// All files are little-endian.
//   JOB     "PEARRJOB", u32 version 1, u32 memory bytes, u32 runs; a run: u32 program address, input address, input bytes,
//           output address, output bytes. Inputs are taken from INPUTS one after the other, outputs go to OUTPUTS one
//           after the other; memory and buffers keep what they hold from run to run.
//   IMAGE   the first bytes of the memory before the first run; the rest is zero.
//   CYCLES  one u64 a run or point: the number of the cycle that ends with `done` high less that of the one that ends
//           with `start` high.
//   POINTS  "PEARRPTS", u32 version 1, u32 points; a point: u32 latency, fetch beats, tree, program bytes, the program.

#include <verilated.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "Vpe_array.h"
#include "axi_memory.h"

#if VM_TRACE_SAIF
#include <verilated_saif_c.h>
using TraceFile = VerilatedSaifC;
#elif VM_TRACE
#include <verilated_vcd_c.h>
using TraceFile = VerilatedVcdC;
#endif

namespace {

using std::runtime_error;
using std::string;
using std::to_string;

constexpr std::uint32_t FILE_VERSION = 1;

struct Options {
    std::vector<string> files;
    std::uint64_t latency = 8, stall = 0, seed = 1, limit = std::uint64_t{1} << 40;
    string trace, expected, mask;
};

std::uint64_t number(const string& name, const string& text) {
    std::size_t used = 0;
    if (text.empty() || text[0] < '0' || text[0] > '9') throw runtime_error(name + " wants a number, not '" + text + "'");
    const std::uint64_t value = std::stoull(text, &used);
    if (used != text.size()) throw runtime_error(name + " wants a number, not '" + text + "'");
    return value;
}

Options parse(int count, char** arguments) {
    Options options;
    for (int i = 2; i < count; ++i) {
        const string name = arguments[i];
        if (name.rfind("--", 0) != 0) {
            options.files.push_back(name);
            continue;
        }
        if (++i == count) throw runtime_error(name + " wants a value");
        if (name == "--latency") options.latency = number(name, arguments[i]);
        else if (name == "--stall") options.stall = number(name, arguments[i]);
        else if (name == "--seed") options.seed = number(name, arguments[i]);
        else if (name == "--limit") options.limit = number(name, arguments[i]);
        else if (name == "--trace") options.trace = arguments[i];
        else if (name == "--expected") options.expected = arguments[i];
        else if (name == "--mask") options.mask = arguments[i];
        else throw runtime_error("no such option: " + name);
    }
    if (options.latency < 1 || options.stall > 255) throw runtime_error("--latency is at least 1, --stall at most 255");
    return options;
}

// A file that is read from front to back; to run past its end is an error.
class Reader {
public:
    explicit Reader(const string& name) : name_(name) {
        std::FILE* file = std::fopen(name.c_str(), "rb");
        if (!file) throw runtime_error("cannot open " + name);
        Bytes block(1 << 16);
        for (std::size_t count; (count = std::fread(block.data(), 1, block.size(), file)) > 0;)
            bytes_.insert(bytes_.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(count));
        const bool bad = std::ferror(file) != 0;
        std::fclose(file);
        if (bad) throw runtime_error("cannot read " + name);
    }
    Reader(const string& name, const string& magic) : Reader(name) {
        if (string(reinterpret_cast<const char*>(take(magic.size())), magic.size()) != magic) throw runtime_error(name + " does not begin with " + magic);
        if (u32() != FILE_VERSION) throw runtime_error(name + " is not of version " + to_string(FILE_VERSION));
    }
    const std::uint8_t* take(std::size_t count) {
        if (count > left()) throw runtime_error(name_ + " ends too early: " + to_string(count) + " bytes are wanted, " + to_string(left()) + " are left");
        position_ += count;
        return bytes_.data() + position_ - count;
    }
    std::uint32_t u32() {
        std::uint32_t value;
        std::memcpy(&value, take(sizeof value), sizeof value);
        return value;
    }
    std::size_t left() const { return bytes_.size() - position_; }
    void finish() const {
        if (left() != 0) throw runtime_error(name_ + " has " + to_string(left()) + " bytes too many");
    }

private:
    string name_;
    Bytes bytes_;
    std::size_t position_ = 0;
};

class Writer {
public:
    explicit Writer(const string& name) : name_(name), file_(std::fopen(name.c_str(), "wb")) {
        if (!file_) throw runtime_error("cannot write " + name);
    }
    Writer(const Writer&) = delete;
    ~Writer() {
        if (file_) std::fclose(file_);
    }
    void put(const void* data, std::size_t count) {
        if (std::fwrite(data, 1, count, file_) != count) throw runtime_error("cannot write " + name_);
    }
    void close() {
        if (std::fclose(std::exchange(file_, nullptr)) != 0) throw runtime_error("cannot write " + name_);
    }

private:
    string name_;
    std::FILE* file_;
};

class Bench {
public:
    using Memory = AxiMemory<Vpe_array>;

    explicit Bench(const Options& options) : limit_(options.limit) {
        context_.randSeed(static_cast<int>(options.seed % 0x7FFFFFFF) + 1);
        context_.randReset(2);  // registers and buffers begin with noise: what the reset forgets shows
#if VM_TRACE
        context_.traceEverOn(!options.trace.empty());
#else
        if (!options.trace.empty()) throw runtime_error("--trace wants a build with --trace-vcd or --trace-saif");
#endif
        top_ = std::make_unique<Vpe_array>(&context_);
        memory_ = std::make_unique<Memory>(*top_, options.seed);
        memory_->latency = options.latency;
        memory_->stall = static_cast<std::uint32_t>(options.stall);
#if VM_TRACE
        if (!options.trace.empty()) {
            top_->trace(&trace_, 99);
            trace_.open(options.trace.c_str());
        }
#endif
    }
    Bench(const Bench&) = delete;
    ~Bench() {
        top_->final();
#if VM_TRACE
        if (trace_.isOpen()) trace_.close();
#endif
    }

    Vpe_array& top() { return *top_; }
    Memory& memory() { return *memory_; }

    void reset() {
        top_->start = 0;
        top_->program_address = 0;
        top_->rst = 1;
        for (int i = 0; i < 4; ++i) {
            memory_->clear();
            edge(0), edge(1);
        }
        top_->rst = 0;
        memory_->drive();
        if (step() || top_->busy) throw runtime_error("busy or done after the reset");
        if (!memory_->idle()) throw runtime_error("a transfer begins without a program");
    }

    // Runs the program at an address; cycles from `start` to `done`.
    std::uint64_t run(std::uint32_t program) {
        const std::uint64_t begin = cycle_;
        top_->start = 1;
        top_->program_address = program;
        bool done = step();
        top_->start = 0;
        top_->program_address = ~program;  // it is read with `start` only
        for (; !done; done = step())
            if (cycle_ - begin > limit_) throw runtime_error("the program at " + to_string(program) + " is not done after " + to_string(limit_) + " cycles");
        const std::uint64_t cycles = cycle_ - 1 - begin;
        if (top_->error) throw runtime_error("the array reports an error of the memory");
        if (!memory_->idle()) throw runtime_error("cycle " + to_string(cycle_ - 1) + ": done while a transfer is under way");
        if (top_->busy || step()) throw runtime_error("cycle " + to_string(cycle_) + ": done for a second cycle, or busy after it");
        return cycles;
    }

private:
    std::uint64_t limit_, cycle_ = 0;
    VerilatedContext context_;
    std::unique_ptr<Vpe_array> top_;
    std::unique_ptr<Memory> memory_;
#if VM_TRACE
    TraceFile trace_;
#endif

    void edge(int level) {
        top_->clk = level;
        top_->eval();
#if VM_TRACE
        context_.timeInc(1);
        if (trace_.isOpen()) trace_.dump(context_.time());
#endif
    }

    // One cycle; tells whether `done` was high in it.
    bool step() {
        edge(0);
        const bool done = top_->done;
        memory_->sample(cycle_);
        edge(1);
        memory_->drive();
        ++cycle_;
        return done;
    }
};

#ifndef TIMING_ONLY

struct Run {
    std::uint32_t program, input_address, input_bytes, output_address, output_bytes;
};

// What the outputs should be. Lanes of a word that no output channel has keep what they held: the mask leaves them out.
class Expected {
public:
    explicit Expected(const Options& options) {
        if (!options.expected.empty()) values_ = std::make_unique<Reader>(options.expected);
        if (options.mask.empty()) return;
        Reader mask(options.mask);
        const std::size_t count = mask.left();
        const std::uint8_t* bytes = mask.take(count);
        mask_.assign(bytes, bytes + count);
    }
    void check(const std::uint8_t* found, const Run& run, std::uint32_t number) {
        if (!values_) return;
        if (!mask_.empty() && run.output_bytes != 0 && run.output_bytes != mask_.size())
            throw runtime_error("the mask has " + to_string(mask_.size()) + " bytes, a run " + to_string(run.output_bytes));
        const std::uint8_t* wanted = values_->take(run.output_bytes);
        for (std::uint32_t i = 0; i < run.output_bytes; ++i)
            if ((found[i] ^ wanted[i]) & (mask_.empty() ? 0xFF : mask_[i]))
                throw runtime_error("run " + to_string(number) + ", byte " + to_string(i) + ": " + to_string(found[i]) + " instead of " + to_string(wanted[i]));
    }
    void finish() const {
        if (values_) values_->finish();
    }

private:
    std::unique_ptr<Reader> values_;
    Bytes mask_;
};

void run_job(const Options& options) {
    if (options.files.size() != 5) throw runtime_error("run wants JOB IMAGE INPUTS OUTPUTS CYCLES");
    Reader job(options.files[0], "PEARRJOB"), image(options.files[1]), inputs(options.files[2]);
    Writer outputs(options.files[3]), cycles(options.files[4]);
    Expected expected(options);
    Bench bench(options);
    Bytes& memory = bench.memory().bytes;
    memory.resize(job.u32());
    const std::size_t count = image.left();
    if (count > memory.size()) throw runtime_error("the image is larger than the memory of " + to_string(memory.size()) + " bytes");
    std::memcpy(memory.data(), image.take(count), count);
    bench.reset();
    const std::uint32_t runs = job.u32();
    for (std::uint32_t number = 0; number < runs; ++number) {
        const Run run{job.u32(), job.u32(), job.u32(), job.u32(), job.u32()};
        if (std::uint64_t{run.input_address} + run.input_bytes > memory.size() || std::uint64_t{run.output_address} + run.output_bytes > memory.size())
            throw runtime_error("an input or output lies outside the memory of " + to_string(memory.size()) + " bytes");
        std::memcpy(memory.data() + run.input_address, inputs.take(run.input_bytes), run.input_bytes);
        const std::uint64_t needed = bench.run(run.program);
        outputs.put(memory.data() + run.output_address, run.output_bytes);
        cycles.put(&needed, sizeof needed);
        expected.check(memory.data() + run.output_address, run, number);
    }
    job.finish();
    inputs.finish();
    expected.finish();
    outputs.close();
    cycles.close();
}

#else

void run_points(const Options& options) {
    if (options.files.size() != 2) throw runtime_error("timing wants POINTS CYCLES");
    Reader points(options.files[0], "PEARRPTS");
    Writer cycles(options.files[1]);
    Bench bench(options);
    bench.memory().timing_only = true;
    for (std::uint32_t count = points.u32(); count > 0; --count) {
        bench.memory().latency = points.u32();
        const std::uint32_t fetch_beats = points.u32(), tree = points.u32(), bytes = points.u32();
        if (bench.memory().latency < 1 || fetch_beats < 1 || fetch_beats > 255 || tree < 1 || tree > 2) throw runtime_error("a point out of range");
        const std::uint8_t* program = points.take(bytes);
        bench.memory().bytes.assign(program, program + bytes);
        bench.top().cfg_fetch_beats = static_cast<std::uint8_t>(fetch_beats);
        bench.top().cfg_tree = static_cast<std::uint8_t>(tree);
        bench.reset();
        const std::uint64_t needed = bench.run(0);
        cycles.put(&needed, sizeof needed);
    }
    points.finish();
    cycles.close();
}

#endif

}  // namespace

int main(int count, char** arguments) {
    try {
        const string mode = count > 1 ? arguments[1] : "";
        const Options options = parse(count, arguments);
#ifdef TIMING_ONLY
        if (mode != "timing") throw runtime_error("this build counts cycles only: timing POINTS CYCLES");
        run_points(options);
#else
        if (mode != "run") throw runtime_error("run JOB IMAGE INPUTS OUTPUTS CYCLES [options]");
        run_job(options);
#endif
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pe_array_tb: %s\n", error.what());
        return 1;
    }
    return 0;
}
