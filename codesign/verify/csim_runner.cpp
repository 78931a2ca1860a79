// Runs an exported hls4ml project on many samples: compiled together with the project by codesign verify.
//
//   runner INPUT OUTPUT [NAME:ELEMENTS ...]
//
// INPUT holds float64 samples one after the other, OUTPUT receives float64 outputs: the logits, or, with layers named,
// the outputs of these layers in the order given. Compile with -DCODESIGN_INPUTS=n -DCODESIGN_OUTPUTS=n, with
// -DCODESIGN_STREAM for io_stream and with -DCODESIGN_TRACE to save layer outputs.

#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_utils/nnet_helpers.h"

namespace nnet {
bool trace_enabled = false;
std::map<std::string, void *> *trace_outputs = NULL;
size_t trace_type_size = sizeof(double);
#ifndef CODESIGN_TRACE
template <class data_T> inline void skip_layer_output(data_T *, const char *, size_t) {}
template <class data_T> inline void skip_layer_output(hls::stream<data_T> &, const char *, size_t) {}
#endif
} // namespace nnet

#ifndef CODESIGN_TRACE
#define save_layer_output skip_layer_output // saves the compiler one instantiation a layer
#endif

#include "codesign_net.cpp"

struct Traced {
    std::string name;
    std::vector<double> values;
};

static void infer(double *sample, double *logits) {
#ifdef CODESIGN_STREAM
    hls::stream<input_t> input("input");
    hls::stream<result_t> output("output");
#else
    static input_t input[CODESIGN_INPUTS];
    static result_t output[CODESIGN_OUTPUTS];
#endif
    nnet::convert_data<double, input_t, CODESIGN_INPUTS>(sample, input);
    codesign_net(input, output);
    nnet::convert_data<result_t, double, CODESIGN_OUTPUTS>(output, logits);
}

static FILE *open_or_exit(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (file == NULL) {
        fprintf(stderr, "cannot open %s\n", path);
        exit(2);
    }
    return file;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: runner INPUT OUTPUT [NAME:ELEMENTS ...]\n");
        return 2;
    }
    std::vector<Traced> traced;
    for (int i = 3; i < argc; i++) {
        const std::string argument = argv[i];
        const size_t colon = argument.find(':');
        traced.push_back({argument.substr(0, colon), std::vector<double>(atol(argument.c_str() + colon + 1))});
    }
    std::map<std::string, void *> storage;
    for (Traced &layer : traced)
        storage[layer.name] = layer.values.data();
    nnet::trace_outputs = &storage;
    nnet::trace_enabled = !traced.empty();

    FILE *input = open_or_exit(argv[1], "rb");
    FILE *output = open_or_exit(argv[2], "wb");
    static double sample[CODESIGN_INPUTS], logits[CODESIGN_OUTPUTS];
    while (fread(sample, sizeof(double), CODESIGN_INPUTS, input) == CODESIGN_INPUTS) {
        infer(sample, logits);
        if (traced.empty())
            fwrite(logits, sizeof(double), CODESIGN_OUTPUTS, output);
        for (const Traced &layer : traced)
            fwrite(layer.values.data(), sizeof(double), layer.values.size(), output);
    }
    fclose(input);
    if (fclose(output) != 0) {
        fprintf(stderr, "cannot write %s\n", argv[2]);
        return 2;
    }
    return 0;
}
