// measurePeak(): the machine's multiply-add limit, for benchmarks.
#ifndef MNIST_TRAIN_ADDON_MEASURE_PEAK_H_
#define MNIST_TRAIN_ADDON_MEASURE_PEAK_H_

#include <napi.h>

namespace mnist_train {

Napi::Value measure_peak(const Napi::CallbackInfo& info);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_MEASURE_PEAK_H_
