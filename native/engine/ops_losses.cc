// Losses with their gradients, besides softmaxCrossEntropy of ops.cc.
#include "op_fields.h"

namespace mnist_train {
namespace {

// crossEntropy: logits, targets, weights? -> dLogits?; labelSmoothing

const char* check_cross_entropy(const Program& program, const Op& op) {
  const Buffer& logits = buffer_of(program, op, 0);
  const Buffer& targets = buffer_of(program, op, 1);
  if (!is_batch(logits, logits.columns)) return "logits must be batched float32";
  const bool indices = !is_float(targets) && targets.batched && targets.columns == 1;
  if (!indices && !same_shape(logits, targets)) return "targets must be class indices or rows of shares";
  if (!absent(op, 2) && !is_vector(buffer_of(program, op, 2), logits.columns)) return "shape of the weights";
  if (!absent(op, 3) && !same_shape(logits, buffer_of(program, op, 3))) return "shape of dLogits";
  return check_smoothing(op.values[0]);
}

void run_cross_entropy(const StepContext& c, const Op& op, Slice slice) {
  const bool shares = is_float(c.buffer(op.buffers[1]));
  c.kernels->cross_entropy(
      {c.pointer<float>(op.buffers[0]), shares ? nullptr : c.pointer<int32_t>(op.buffers[1]),
       shares ? c.pointer<float>(op.buffers[1]) : nullptr, c.pointer<float>(op.buffers[2]),
       c.pointer<float>(op.buffers[3]), c.metrics, c.rows, c.buffer(op.buffers[0]).columns, op.values[0]},
      slice);
}

size_t scratch_cross_entropy(const Program& program, const Op& op) {
  return cross_entropy_scratch_floats(buffer_of(program, op, 0).columns);
}

void accesses_cross_entropy(const Program&, const Section&, const Op& op, Team, Accesses* list) {
  touch(op, 0, Share::kRows, false, list);
  touch(op, 1, Share::kRows, false, list);
  touch(op, 2, Share::kAll, false, list);
  touch(op, 3, Share::kRows, true, list);
}

// Losses of outputs and targets of one shape: outputs, targets -> dOutputs?

const char* check_alike(const Program& program, const Op& op) {
  const Buffer& outputs = buffer_of(program, op, 0);
  if (!is_batch(outputs, outputs.columns)) return "outputs must be batched float32";
  if (!same_shape(outputs, buffer_of(program, op, 1))) return "shape of the targets";
  if (!absent(op, 2) && !same_shape(outputs, buffer_of(program, op, 2))) return "shape of the gradient";
  return nullptr;
}

// binaryCrossEntropy: logits, targets -> dLogits?; labelSmoothing

const char* check_binary_cross_entropy(const Program& program, const Op& op) {
  const char* wrong = check_alike(program, op);
  return wrong ? wrong : check_smoothing(op.values[0]);
}

void run_binary_cross_entropy(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->binary_cross_entropy(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]), c.metrics,
       c.rows, c.buffer(op.buffers[0]).columns, op.values[0]},
      slice);
}

// meanSquaredError, meanAbsoluteError, huber: predictions, targets -> dPredictions?; of huber delta

const char* check_huber(const Program& program, const Op& op) {
  const float delta = static_cast<float>(op.values[0]);
  const bool known = delta >= 1.17549435e-38f && delta < 3.5e38;
  return known ? check_alike(program, op) : "delta must be above 0";
}

RegressionArgs regression_args(const StepContext& c, const Op& op) {
  return {c.pointer<float>(op.buffers[0]),
          c.pointer<float>(op.buffers[1]),
          c.pointer<float>(op.buffers[2]),
          c.metrics,
          c.rows,
          c.buffer(op.buffers[0]).columns,
          static_cast<float>(op.values[0])};
}

void run_mean_squared_error(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->mean_squared_error(regression_args(c, op), slice);
}

void run_mean_absolute_error(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->mean_absolute_error(regression_args(c, op), slice);
}

void run_huber(const StepContext& c, const Op& op, Slice slice) { c.kernels->huber(regression_args(c, op), slice); }

const OpKind kKinds[] = {
    {"crossEntropy", "rrRWv", check_cross_entropy, run_cross_entropy, scratch_cross_entropy, true, -1,
     accesses_cross_entropy, false, true},
    {"binaryCrossEntropy", "rrWv", check_binary_cross_entropy, run_binary_cross_entropy, nullptr, true, -1,
     accesses_by_rows, false, true},
    {"meanSquaredError", "rrW", check_alike, run_mean_squared_error, nullptr, true, -1, accesses_by_rows, false, true},
    {"meanAbsoluteError", "rrW", check_alike, run_mean_absolute_error, nullptr, true, -1, accesses_by_rows, false,
     true},
    {"huber", "rrWv", check_huber, run_huber, nullptr, true, -1, accesses_by_rows, false, true},
};

}  // namespace

const OpGroup kLossOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
