// Ops whose elements are independent, besides those of ops.cc.
#include <math.h>

#include "op_fields.h"

namespace mnist_train {
namespace {

// dropout: input -> output; rate, seedLow, seedHigh, layer, epoch (scalar)

// RandomPurpose.dropout of src/random.ts; the layer stands above it in the same word.
constexpr uint32_t kDropoutPurpose = 4, kLayerUnit = 256;
constexpr double kMostLayers = 1 << 24;
constexpr double kRateUnit = 1 << 24;

const char* check_dropout(const Program& program, const Op& op) {
  const Buffer& input = buffer_of(program, op, 0);
  if (!is_batch(input, input.columns) || !same_shape(input, buffer_of(program, op, 1))) {
    return "shapes of input and output";
  }
  if (!(op.values[0] >= 0 && op.values[0] < 1)) return "the rate must be from 0 to below 1";
  if (!is_whole(op.values[1], 0, kMostWord) || !is_whole(op.values[2], 0, kMostWord)) return "bad seed";
  if (!is_whole(op.values[3], 0, kMostLayers - 1)) return "bad layer";
  return check_scalar(program, op.values[4]);
}

void run_dropout(const StepContext& c, const Op& op, Slice slice) {
  const Buffer& input = c.buffer(op.buffers[0]);
  const uint32_t layer = static_cast<uint32_t>(op.values[3]);
  c.kernels->dropout(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.order, c.rows, input.columns,
       static_cast<uint32_t>(round(op.values[0] * kRateUnit)), static_cast<float>(1.0 / (1.0 - op.values[0])),
       static_cast<uint32_t>(op.values[1]), static_cast<uint32_t>(op.values[2]), kDropoutPurpose + kLayerUnit * layer,
       epoch_of(c.scalars[static_cast<size_t>(op.values[4])]), input.by_parts, c.first_index},
      slice);
}

// add: a, b -> output

void run_add(const StepContext& c, const Op& op, Slice slice) {
  const Buffer& a = c.buffer(op.buffers[0]);
  c.kernels->add({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]),
                  c.rows_of(op.buffers[0]), a.columns, a.by_parts},
                 slice);
}

const OpKind kKinds[] = {
    {"dropout", "rwvvvvv", check_dropout, run_dropout, nullptr, true, -1, accesses_elementwise, false, false, false,
     "0"},
    {"add", "rrw", check_three_alike, run_add, nullptr, false, -1, accesses_elementwise, false, false, false, "01"},
};

}  // namespace

const OpGroup kElementwiseOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
