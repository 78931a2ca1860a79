// Test bench of systolic_row: reads commands from standard input, prints one line an inference.
//
//   load TARGET ELEMENT ADDRESS COUNT WORD...   fill a memory (0 program, 1 kernels, 2 biases, 3 features)
//   infer ADDRESS COUNT WORD...                 feed the input map, run, print: cycles, then the result of each channel
//
// Cycles run from the first input word to the cycle after the last result.

#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "Vsystolic_row.h"
#include "verilated.h"

namespace {

constexpr uint64_t kPatience = 50'000'000;

class Bench {
  public:
    explicit Bench(Vsystolic_row &row) : row_(row) {
        row_.rst = 1;
        for (int i = 0; i < 4; ++i) tick();
        row_.rst = 0;
    }

    void load(unsigned target, unsigned element, unsigned address) {
        unsigned count;
        std::cin >> count;
        row_.load_en = 1;
        row_.load_target = target;
        row_.load_element = element;
        for (unsigned i = 0; i < count; ++i) {
            int64_t word;
            std::cin >> word;
            row_.load_address = address + i;
            row_.load_data = static_cast<uint32_t>(word);
            tick();
        }
        row_.load_en = 0;
    }

    bool infer(unsigned address, unsigned result_bits) {
        const uint64_t begin = cycles_;
        load(3, 0, address);
        row_.start = 1;
        tick();
        row_.start = 0;
        std::map<unsigned, int64_t> results;
        while (row_.busy) {
            if (row_.result_valid) results[row_.result_channel] = static_cast<int64_t>(static_cast<uint64_t>(row_.result) << (64 - result_bits)) >> (64 - result_bits);
            if (cycles_ - begin > kPatience) return false;
            tick();
        }
        std::cout << cycles_ - begin;
        for (const auto &entry : results) std::cout << ' ' << entry.second;
        std::cout << '\n';
        return true;
    }

  private:
    void tick() {
        row_.clk = 0;
        row_.eval();
        row_.clk = 1;
        row_.eval();
        ++cycles_;
    }

    Vsystolic_row &row_;
    uint64_t cycles_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
    const unsigned result_bits = argc > 1 ? static_cast<unsigned>(std::stoul(argv[1])) : 32;
    VerilatedContext context;
    Vsystolic_row row(&context);
    Bench bench(row);
    std::string command;
    while (std::cin >> command) {
        if (command == "load") {
            unsigned target, element, address;
            std::cin >> target >> element >> address;
            bench.load(target, element, address);
        } else if (command == "infer") {
            unsigned address;
            std::cin >> address;
            if (!bench.infer(address, result_bits)) {
                std::cerr << "no end after " << kPatience << " cycles\n";
                return 1;
            }
        } else {
            std::cerr << "unknown command " << command << '\n';
            return 1;
        }
    }
    return 0;
}
