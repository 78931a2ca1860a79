#ifndef NNET_GLOBAL_SUM_H_
#define NNET_GLOBAL_SUM_H_

// Global pooling of codesign: the sum over all positions times 2**-shift, exactly.
// One adder a channel; the scale only moves the binary point, so it costs no hardware.

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

struct global_sum_config {
    static const unsigned n_in = 10;   // positions
    static const unsigned n_filt = 4;  // channels
    static const unsigned shift = 0;   // ceil(log2(positions))
    static const unsigned reuse_factor = 1;
    typedef float accum_t;
};

// The same bits read with the binary point `shift` places further left.
template <class res_T, typename CONFIG_T> res_T scale_global_sum(typename CONFIG_T::accum_t sum) {
    #pragma HLS INLINE
    ap_fixed<CONFIG_T::accum_t::width, CONFIG_T::accum_t::iwidth - (int)CONFIG_T::shift> scaled;
    scaled.range() = sum.range();
    return (res_T)scaled;
}

template <class data_T, class res_T, typename CONFIG_T>
void global_sum(data_T data[CONFIG_T::n_in * CONFIG_T::n_filt], res_T res[CONFIG_T::n_filt]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor

Channels:
    for (unsigned c = 0; c < CONFIG_T::n_filt; c++) {
        #pragma HLS UNROLL
        typename CONFIG_T::accum_t sum = 0;
    Positions:
        for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
            #pragma HLS UNROLL
            sum += data[i * CONFIG_T::n_filt + c];
        }
        res[c] = scale_global_sum<res_T, CONFIG_T>(sum);
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void global_sum(hls::stream<data_T> &data, hls::stream<res_T> &res) {
    typename CONFIG_T::accum_t sum[CONFIG_T::n_filt];
    #pragma HLS ARRAY_PARTITION variable=sum complete

Clear:
    for (unsigned c = 0; c < CONFIG_T::n_filt; c++) {
        #pragma HLS UNROLL
        sum[c] = 0;
    }

Positions:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS PIPELINE II=1
        data_T position = data.read();
    Channels:
        for (unsigned c = 0; c < CONFIG_T::n_filt; c++) {
            #pragma HLS UNROLL
            sum[c] += position[c];
        }
    }

    res_T result;
    PRAGMA_DATA_PACK(result)
Scale:
    for (unsigned c = 0; c < CONFIG_T::n_filt; c++) {
        #pragma HLS UNROLL
        result[c] = scale_global_sum<typename res_T::value_type, CONFIG_T>(sum[c]);
    }
    res.write(result);
}

} // namespace nnet

#endif
