// Convolutions of images, and the sums of gradients that are made in parts.
#include "../kernels/conv_sizes.h"
#include "op_fields.h"
#include "windows.h"

namespace mnist_train {
namespace {

constexpr size_t kActivation = kWindowValues, kNegativeSlope = kWindowValues + 1;

// Sizes of what positions or pools hold: whole numbers that the shapes of buffers bound.
bool fits_output(const Windows& w, size_t filters, bool pool, const Buffer& output) {
  const size_t scale = pool ? 2 : 1;
  const size_t height = w.output_height / scale, width = w.output_width / scale;
  return height > 0 && width > 0 && is_image_batch(output, height, width, filters);
}

// Whether the buffer says who won each of these pools.
bool are_winners(const Buffer& pools, const Buffer& b) {
  return b.type == ElementType::kInt32 && b.batched && b.rows == pools.rows && b.columns == pools.columns;
}

// What conv2d and conv2dBackward have in common: windows, input and weights.
const char* check_convolution(const Program& program, const Op& op, Windows* w) {
  if (const char* wrong = check_windows(op, 0, w)) return wrong;
  const Buffer& weights = buffer_of(program, op, 1);
  if (!is_image_batch(buffer_of(program, op, 0), w->input_height, w->input_width, w->channels))
    return "shape of the input";
  const double taps =
      static_cast<double>(w->kernel_height) * static_cast<double>(w->kernel_width) * static_cast<double>(w->channels);
  if (static_cast<double>(weights.rows) != taps || !is_matrix(weights, weights.rows, weights.columns))
    return "shape of the weights";
  // Places in an image, borders included, are 32-bit numbers.
  const PaddedShape input = padded_input(*w), gradient = padded_gradient(*w, weights.columns);
  constexpr double kMost = 1 << 30;
  for (const PaddedShape& s : {input, gradient}) {
    if (static_cast<double>(s.height) * static_cast<double>(s.width) * static_cast<double>(s.channels) *
            static_cast<double>(w->kernel_height) >
        kMost) {
      return "an image is too large";
    }
  }
  return nullptr;
}

// conv2d: input, weights, bias? -> output, winners?; windows, activation, negativeSlope, pool

bool pools(const Op& op) { return op.values[kWindowValues + 2] != 0; }

const char* check_conv2d(const Program& program, const Op& op) {
  Windows w;
  if (const char* wrong = check_convolution(program, op, &w)) return wrong;
  const size_t filters = buffer_of(program, op, 1).columns;
  if (!is_flag(op.values[kWindowValues + 2])) return "bad pool flag";
  if (!absent(op, 2) && !is_vector(buffer_of(program, op, 2), filters)) return "shape of the bias";
  if (!fits_output(w, filters, pools(op), buffer_of(program, op, 3))) return "shape of the output";
  if (!absent(op, 4) && !pools(op)) return "winners without a pool";
  if (!absent(op, 4) && !are_winners(buffer_of(program, op, 3), buffer_of(program, op, 4)))
    return "shape of the winners";
  if (const char* wrong = check_activation(op.values[kActivation])) return wrong;
  const Activation activation = activation_of(op.values[kActivation]);
  const bool monotone = activation == Activation::kLinear || activation == Activation::kRelu;
  return pools(op) && !monotone ? "a pool goes with linear or relu" : nullptr;
}

void run_conv2d(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->conv2d({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]),
                     c.pointer<float>(op.buffers[3]), c.pointer<int32_t>(op.buffers[4]), c.rows, windows_of(op, 0),
                     c.buffer(op.buffers[1]).columns, activation_of(op.values[kActivation]),
                     static_cast<float>(op.values[kNegativeSlope]), pools(op)},
                    slice);
}

size_t scratch_conv2d(const Program& program, const Op& op) {
  return conv2d_scratch(windows_of(op, 0), buffer_of(program, op, 1).columns);
}

// conv2dBackward: input, weights, dOutput, winners? -> dWeightParts?, dBiasParts?, dInput?; windows, pool

// Whether the buffer holds so many numbers for each part of the section's samples.
bool is_in_parts(const Buffer& b, size_t capacity, size_t size) {
  return is_float(b) && !b.batched && b.elements() == parts_of(capacity) * size;
}

const char* check_conv2d_backward(const Program& program, const Op& op) {
  Windows w;
  if (const char* wrong = check_convolution(program, op, &w)) return wrong;
  const Buffer& input = buffer_of(program, op, 0);
  const Buffer& weights = buffer_of(program, op, 1);
  const Buffer& d_output = buffer_of(program, op, 2);
  if (!is_flag(op.values[kWindowValues])) return "bad pool flag";
  const bool pool = op.values[kWindowValues] != 0;
  if (!fits_output(w, weights.columns, pool, d_output)) return "shape of dOutput";
  if (absent(op, 3) == pool) return "winners go with a pool";
  if (pool && !are_winners(d_output, buffer_of(program, op, 3))) return "shape of the winners";
  if (!absent(op, 4) && !is_in_parts(buffer_of(program, op, 4), input.rows, weights.elements()))
    return "shape of dWeightParts";
  if (!absent(op, 5) && !is_in_parts(buffer_of(program, op, 5), input.rows, weights.columns))
    return "shape of dBiasParts";
  if (!absent(op, 6) && !same_shape(input, buffer_of(program, op, 6))) return "shape of dInput";
  return nullptr;
}

void run_conv2d_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->conv2d_backward(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]),
       c.pointer<int32_t>(op.buffers[3]), c.pointer<float>(op.buffers[4]), c.pointer<float>(op.buffers[5]),
       c.pointer<float>(op.buffers[6]), c.rows, windows_of(op, 0), c.buffer(op.buffers[1]).columns},
      slice);
}

size_t scratch_conv2d_backward(const Program& program, const Op& op) {
  return conv2d_backward_scratch(windows_of(op, 0), buffer_of(program, op, 1).columns, !absent(op, 3));
}

// sumParts: parts -> output

const char* check_sum_parts(const Program& program, const Op& op) {
  const Buffer& parts = buffer_of(program, op, 0);
  const Buffer& output = buffer_of(program, op, 1);
  if (!is_float(parts) || !is_float(output) || parts.batched || output.batched) return "parts and output are fixed";
  return is_parts(program, parts, output.elements()) ? nullptr : "shape of the parts";
}

void run_sum_parts(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->sum_parts(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.layout_of(op.buffers[1]), parts_of(c.rows)},
      slice);
}

void accesses_sum_parts(const Program&, const Section&, const Op& op, Team, Accesses* list) {
  touch(op, 0, Share::kAll, false, list);
  touch(op, 1, Share::kElements, true, list);
}

const OpKind kKinds[] = {
    {"conv2d", "rrRwWvvvvvvvvvvvvvv", check_conv2d, run_conv2d, scratch_conv2d, false, -1, accesses_by_parts, true},
    {"conv2dBackward", "rrrRWWWvvvvvvvvvvvv", check_conv2d_backward, run_conv2d_backward, scratch_conv2d_backward,
     false, -1, accesses_by_parts, true},
    {"sumParts", "rw", check_sum_parts, run_sum_parts, nullptr, false, -1, accesses_sum_parts},
};

}  // namespace

const OpGroup kConvolutionOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
