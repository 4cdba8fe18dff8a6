#include "ops.h"

#include <string.h>

#include "op_fields.h"

namespace mnist_train {
namespace {

// gather: source (0 inputs, 1 targets) -> output

const char* check_gather(const Program& program, const Op& op) {
  if (!buffer_of(program, op, 0).batched) return "the output must be batched";
  if (op.values[0] != 0 && op.values[0] != 1) return "unknown source";
  if (op.values[0] == 0 && !is_float(buffer_of(program, op, 0))) return "inputs are float32";
  if (op.values[0] != 0 && buffer_of(program, op, 0).sparse) return "targets cannot be sparse";
  return nullptr;
}

void run_gather(const StepContext& c, const Op& op, Slice slice) {
  const Buffer& output = c.buffer(op.buffers[0]);
  const DataView& data = *c.data;
  if (op.values[0] == 0) {
    if (holds_lists(rows_of_buffer(c, op.buffers[0]))) return;  // whoever reads the buffer takes the lists
    c.kernels->gather({data.bytes, data.floats, c.sparse, c.order, c.pointer<float>(op.buffers[0]), c.rows,
                       output.columns, output.by_parts},
                      slice);
  } else if (output.type == ElementType::kFloat32) {
    c.kernels->gather({nullptr, data.targets, SparseRows(), c.order, c.pointer<float>(op.buffers[0]), c.rows,
                       output.columns, output.by_parts},
                      slice);
  } else {
    int32_t* classes = c.pointer<int32_t>(op.buffers[0]);
    const Range rows = share(c.rows, 1, slice);
    for (size_t i = rows.begin; i < rows.end; i++) classes[i] = data.classes[c.order[i]];
  }
}

void accesses_gather(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  if (takes_lists(program, op, team)) return;
  touch(op, 0, buffer_of(program, op, 0).by_parts ? Share::kParts : Share::kRows, true, list);
}

// matmul: a, b -> output; transposeA, transposeB

// A dimension of a product: of fixed size, or as many as the step has samples.
struct Extent {
  size_t size;
  bool live;
  bool operator==(const Extent& other) const { return size == other.size && live == other.live; }
  size_t in(const StepContext& c) const { return live ? c.rows : size; }
};

struct MatmulExtents {
  Extent m, n, k, b_depth;
};

MatmulExtents extents_of_matmul(const Program& program, const Op& op) {
  const Buffer& a = buffer_of(program, op, 0);
  const Buffer& b = buffer_of(program, op, 1);
  const Extent a_rows = {a.rows, a.batched}, a_columns = {a.columns, false};
  const Extent b_rows = {b.rows, b.batched}, b_columns = {b.columns, false};
  const bool transpose_a = op.values[0] != 0, transpose_b = op.values[1] != 0;
  return {transpose_a ? a_columns : a_rows, transpose_b ? b_rows : b_columns, transpose_a ? a_rows : a_columns,
          transpose_b ? b_columns : b_rows};
}

const char* check_matmul(const Program& program, const Op& op) {
  const Buffer& output = buffer_of(program, op, 2);
  if (!is_flag(op.values[0]) || !is_flag(op.values[1])) return "bad transpose flag";
  const MatmulExtents e = extents_of_matmul(program, op);
  if (!is_float(buffer_of(program, op, 0)) || !is_float(buffer_of(program, op, 1)) || !is_float(output)) {
    return "operands must be float32";
  }
  if (!(e.k == e.b_depth)) return "shapes of a and b";
  const bool fits = e.m == Extent{output.rows, output.batched} && e.n == Extent{output.columns, false};
  return fits ? nullptr : "shape of the output";
}

void run_matmul(const StepContext& c, const Op& op, Slice slice) {
  const MatmulExtents e = extents_of_matmul(*c.program, op);
  c.kernels->matmul({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]),
                     e.m.in(c), e.n.in(c), e.k.in(c), op.values[0] != 0, op.values[1] != 0},
                    slice);
}

size_t scratch_matmul(const Program& program, const Op& op) {
  return scratch_floats(extents_of_matmul(program, op).k.size);
}

// dense: input, weights, bias? -> output; activation, negativeSlope

const char* check_dense(const Program& program, const Op& op) {
  const Buffer& weights = buffer_of(program, op, 1);
  if (!is_matrix(weights, weights.rows, weights.columns)) return "shape of the weights";
  if (!is_batch(buffer_of(program, op, 0), weights.rows)) return "shape of the input";
  if (!absent(op, 2) && !is_vector(buffer_of(program, op, 2), weights.columns)) return "shape of the bias";
  if (!is_batch(buffer_of(program, op, 3), weights.columns)) return "shape of the output";
  return check_activation(op.values[0]);
}

void run_dense(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->dense({c.pointer<float>(op.buffers[0]), c.layout_of(op.buffers[0]), rows_of_buffer(c, op.buffers[0]),
                    c.room, c.pointer<float>(op.buffers[1]), c.layout_of(op.buffers[1]),
                    c.pointer<float>(op.buffers[2]), c.pointer<float>(op.buffers[3]), c.layout_of(op.buffers[3]),
                    c.rows, activation_of(op.values[0]), static_cast<float>(op.values[1])},
                   slice);
}

void accesses_dense(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  const Share share = matrix_share(buffer_of(program, op, 1).columns, team, Share::kRows);
  const bool columns = share == Share::kColumns;
  if (!takes_lists(program, op, team)) touch(op, 0, columns ? Share::kAll : Share::kRows, false, list);
  touch(op, 1, columns ? Share::kColumns : Share::kAll, false, list);
  touch(op, 2, columns ? Share::kColumns : Share::kAll, false, list);
  touch(op, 3, share, true, list);
}

size_t scratch_dense(const Program& program, const Op& op) { return scratch_floats(buffer_of(program, op, 1).rows); }

// activation: input -> output; activation, negativeSlope

const char* check_activation_op(const Program& program, const Op& op) {
  if (!same_shape(buffer_of(program, op, 0), buffer_of(program, op, 1))) return "shapes of input and output differ";
  return check_activation(op.values[0]);
}

void run_activation(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->activation({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.rows_of(op.buffers[0]),
                         c.buffer(op.buffers[0]).columns, activation_of(op.values[0]), static_cast<float>(op.values[1]),
                         c.buffer(op.buffers[0]).by_parts},
                        slice);
}

// activationBackward: reference, dOutput -> dInput; activation, negativeSlope

const char* check_activation_backward(const Program& program, const Op& op) {
  const char* wrong = check_three_alike(program, op);
  return wrong ? wrong : check_activation(op.values[0]);
}

void run_activation_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->activation_backward(
      {c.pointer<float>(op.buffers[0]), c.layout_of(op.buffers[0]), c.pointer<float>(op.buffers[1]),
       c.pointer<float>(op.buffers[2]), c.layout_of(op.buffers[1]), c.rows_of(op.buffers[0]),
       c.buffer(op.buffers[0]).columns, activation_of(op.values[0]), static_cast<float>(op.values[1]),
       c.buffer(op.buffers[0]).by_parts},
      slice);
}

// softmax: input -> output;  softmaxBackward: output, dOutput -> dInput

const char* check_softmax(const Program& program, const Op& op) {
  return same_shape(buffer_of(program, op, 0), buffer_of(program, op, 1)) ? nullptr
                                                                          : "shapes of input and output differ";
}

void run_softmax(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->softmax({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.rows_of(op.buffers[0]),
                      c.buffer(op.buffers[0]).columns},
                     slice);
}

void run_softmax_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->softmax_backward(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]),
       c.rows_of(op.buffers[0]), c.buffer(op.buffers[0]).columns},
      slice);
}

// softmaxCrossEntropy: logits, targets -> dLogits?; labelSmoothing

const char* check_softmax_cross_entropy(const Program& program, const Op& op) {
  const Buffer& logits = buffer_of(program, op, 0);
  const Buffer& targets = buffer_of(program, op, 1);
  if (!is_batch(logits, logits.columns)) return "logits must be batched float32";
  if (targets.type != ElementType::kInt32 || !targets.batched || targets.columns != 1) return "targets must be int32";
  if (!absent(op, 2) && !same_shape(logits, buffer_of(program, op, 2))) return "shape of dLogits";
  return check_smoothing(op.values[0]);
}

void run_softmax_cross_entropy(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->softmax_cross_entropy(
      {c.pointer<float>(op.buffers[0]), c.pointer<int32_t>(op.buffers[1]), c.pointer<float>(op.buffers[2]), c.metrics,
       c.rows, c.buffer(op.buffers[0]).columns, op.values[0]},
      slice);
}

// denseBackward: input, weights, dOutput -> dWeights?, dBias?, dInput?; update

const char* check_dense_backward(const Program& program, const Op& op) {
  const Buffer& weights = buffer_of(program, op, 1);
  if (!is_matrix(weights, weights.rows, weights.columns)) return "shape of the weights";
  if (!is_batch(buffer_of(program, op, 0), weights.rows)) return "shape of the input";
  if (!is_batch(buffer_of(program, op, 2), weights.columns)) return "shape of dOutput";
  if (!absent(op, 3) && !is_matrix(buffer_of(program, op, 3), weights.rows, weights.columns))
    return "shape of dWeights";
  if (!absent(op, 4) && !is_vector(buffer_of(program, op, 4), weights.columns)) return "shape of dBias";
  if (!absent(op, 5) && !is_batch(buffer_of(program, op, 5), weights.rows)) return "shape of dInput";
  if (!is_flag(op.values[0])) return "bad update flag";
  if (op.values[0] != 0 && !absent(op, 5)) return "an update would change the weights that dInput needs";
  return nullptr;
}

void run_dense_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->dense_backward(
      {c.pointer<float>(op.buffers[0]), c.layout_of(op.buffers[0]), rows_of_buffer(c, op.buffers[0]), c.room,
       c.pointer<float>(op.buffers[1]), c.layout_of(op.buffers[1]), c.pointer<float>(op.buffers[2]),
       c.layout_of(op.buffers[2]), c.pointer<float>(op.buffers[3]), c.pointer<float>(op.buffers[4]),
       c.pointer<float>(op.buffers[5]), c.layout_of(op.buffers[5]), c.rows, update_of(c, op.weights_update),
       update_of(c, op.bias_update)},
      slice);
}

void accesses_dense_backward(const Program& program, const Section& section, const Op& op, Team team, Accesses* list) {
  const auto update = [&](int index, Share share) {
    if (index != kNoOp) touch_update(section.ops[static_cast<size_t>(index)], share, list);
  };
  if (!absent(op, 3)) {
    const Share share = matrix_share(buffer_of(program, op, 1).columns, team, Share::kWeightRows);
    const bool columns = share == Share::kColumns;
    if (!takes_lists(program, op, team)) touch(op, 0, columns ? Share::kAll : Share::kColumns, false, list);
    touch(op, 2, columns ? Share::kColumns : Share::kAll, false, list);
    touch(op, 3, share, true, list);
    update(op.weights_update, share);
  }
  if (!absent(op, 4)) {
    touch(op, 2, Share::kColumns, false, list);
    touch(op, 4, Share::kColumns, true, list);
    update(op.bias_update, Share::kColumns);
  }
  if (!absent(op, 5)) {
    const Share share = matrix_share(buffer_of(program, op, 1).rows, team, Share::kRows);
    const bool columns = share == Share::kColumns;
    touch(op, 1, columns ? Share::kWeightRows : Share::kAll, false, list);
    touch(op, 2, columns ? Share::kAll : Share::kRows, false, list);
    touch(op, 5, share, true, list);
  }
}

size_t scratch_dense_backward(const Program& program, const Op& op) {
  const size_t rows = buffer_of(program, op, 0).rows, units = buffer_of(program, op, 1).columns;
  return scratch_floats(rows > units ? rows : units);
}

const OpKind kKinds[] = {
    {"gather", "vw", check_gather, run_gather, nullptr, true, 0, accesses_gather},
    {"matmul", "rrwvv", check_matmul, run_matmul, scratch_matmul, false, -1, nullptr},
    {"dense", "rrRwvv", check_dense, run_dense, scratch_dense, false, 0, accesses_dense},
    {"denseBackward", "rrrWWWv", check_dense_backward, run_dense_backward, scratch_dense_backward, false, 0,
     accesses_dense_backward},
    {"activation", "rwvv", check_activation_op, run_activation, nullptr, false, -1, accesses_elementwise, false, false,
     false, "0"},
    {"activationBackward", "rrwvv", check_activation_backward, run_activation_backward, nullptr, false, -1,
     accesses_elementwise, false, false, false, "1"},
    {"softmax", "rw", check_softmax, run_softmax, nullptr, false, -1, accesses_by_rows},
    {"softmaxBackward", "rrw", check_three_alike, run_softmax_backward, nullptr, false, -1, accesses_by_rows},
    {"softmaxCrossEntropy", "rrWv", check_softmax_cross_entropy, run_softmax_cross_entropy, nullptr, true, -1,
     accesses_by_rows, false, true},
};

}  // namespace

const OpGroup kMatrixOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

namespace {

const OpGroup* const kGroups[] = {&kMatrixOps,    &kElementwiseOps, &kConvolutionOps, &kPoolingOps, &kBatchNormOps,
                                  &kOptimizerOps, &kWeightOps,      &kAugmentOps,     &kLossOps};

}  // namespace

size_t op_kind_count() {
  size_t count = 0;
  for (const OpGroup* group : kGroups) count += group->count;
  return count;
}

const OpKind& op_kind(size_t index) {
  const OpGroup* const* group = kGroups;
  for (; index >= (*group)->count; group++) index -= (*group)->count;
  return (*group)->kinds[index];
}

}  // namespace mnist_train
