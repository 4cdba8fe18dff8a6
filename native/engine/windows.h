// Reading and checking the windows of image ops: the fields of WINDOWS in src/program/ops.ts, in its order.
#ifndef MNIST_TRAIN_ENGINE_WINDOWS_H_
#define MNIST_TRAIN_ENGINE_WINDOWS_H_

#include "op_fields.h"

namespace mnist_train {

constexpr size_t kWindowValues = 11;

// The windows whose fields begin at this value of an op that was checked.
inline Windows windows_of(const Op& op, size_t first_value) {
  const auto value = [&](size_t i) { return static_cast<size_t>(op.values[first_value + i]); };
  return {value(0), value(1), value(2), value(3), value(4), value(5),
          value(6), value(7), value(8), value(9), value(10)};
}

// Whether every window has a tap inside the image along one dimension: the first one reaches into it, the last one
// begins in it.
inline bool windows_meet_image(size_t input, size_t kernel, size_t stride, size_t pad, size_t output) {
  return pad < kernel && (output - 1) * stride < input + pad;
}

// Null when the windows make sense, which are then in `windows`. Their sizes multiply without overflow, and the number
// of a tap is exact in float32.
inline const char* check_windows(const Op& op, size_t first_value, Windows* windows) {
  constexpr double kLargestDimension = 1 << 20, kMostTaps = 1 << 24;
  constexpr size_t kPadTop = 7, kPadLeft = 8;
  for (size_t i = 0; i < kWindowValues; i++) {
    const double value = op.values[first_value + i], least = i == kPadTop || i == kPadLeft ? 0 : 1;
    if (!is_whole(value, least, kLargestDimension)) return "bad windows";
  }
  const Windows w = windows_of(op, first_value);
  if (static_cast<double>(w.kernel_height) * static_cast<double>(w.kernel_width) > kMostTaps) return "bad windows";
  if (!windows_meet_image(w.input_height, w.kernel_height, w.stride_y, w.pad_top, w.output_height) ||
      !windows_meet_image(w.input_width, w.kernel_width, w.stride_x, w.pad_left, w.output_width)) {
    return "a window lies outside the image";
  }
  *windows = w;
  return nullptr;
}

// Whether the buffer is a batch of images [height, width, channels].
inline bool is_image_batch(const Buffer& b, size_t height, size_t width, size_t channels) {
  return is_batch(b, height * width * channels);
}

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_WINDOWS_H_
