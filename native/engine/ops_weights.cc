// What else happens to gradients and weights: penalties, clipping, limits of norms, averages.
#include "op_fields.h"

namespace mnist_train {
namespace {

// regularize: parameter -> gradient (updated); l1, l2

const char* check_regularize(const Program& program, const Op& op) {
  const Buffer& parameter = buffer_of(program, op, 0);
  const bool alike = !parameter.batched && same_shape(parameter, buffer_of(program, op, 1));
  return alike ? nullptr : "shape of the gradient";
}

void run_regularize(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->regularize({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.layout_of(op.buffers[0]),
                         static_cast<float>(op.values[0]), static_cast<float>(2.0 * op.values[1])},
                        slice);
}

// Of a parameter that is read and what goes along with it.
void accesses_through(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  const Share share = update_share(buffer_of(program, op, 0), team);
  touch(op, 0, share, false, list);
  touch(op, 1, share, true, list);
}

// maxNorm: parameter (updated); maxValue

const char* check_max_norm(const Program& program, const Op& op) {
  const Buffer& parameter = buffer_of(program, op, 0);
  return is_matrix(parameter, parameter.rows, parameter.columns) ? nullptr : "the parameter must be a float32 matrix";
}

void run_max_norm(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->max_norm({c.pointer<float>(op.buffers[0]), c.layout_of(op.buffers[0]), static_cast<float>(op.values[0])},
                      slice);
}

void accesses_max_norm(const Program&, const Section&, const Op& op, Team, Accesses* list) {
  touch(op, 0, Share::kColumns, true, list);
}

// clipByValue: gradient (updated); limit

const char* check_clip_by_value(const Program& program, const Op& op) {
  const Buffer& gradient = buffer_of(program, op, 0);
  return is_matrix(gradient, gradient.rows, gradient.columns) ? nullptr : "the gradient must be a float32 matrix";
}

void run_clip_by_value(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->clip_by_value(
      {c.pointer<float>(op.buffers[0]), c.layout_of(op.buffers[0]), static_cast<float>(op.values[0])}, slice);
}

void accesses_clip_by_value(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  touch(op, 0, update_share(buffer_of(program, op, 0), team), true, list);
}

// columnSquares: gradient -> output

const char* check_column_squares(const Program& program, const Op& op) {
  const Buffer& gradient = buffer_of(program, op, 0);
  if (!is_matrix(gradient, gradient.rows, gradient.columns)) return "the gradient must be a float32 matrix";
  return is_vector(buffer_of(program, op, 1), gradient.columns) ? nullptr : "shape of the output";
}

void run_column_squares(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->column_squares(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.layout_of(op.buffers[0])}, slice);
}

void accesses_column_squares(const Program&, const Section&, const Op& op, Team, Accesses* list) {
  touch(op, 0, Share::kColumns, false, list);
  touch(op, 1, Share::kColumns, true, list);
}

// addSquares: squares -> total (updated); first

const char* check_add_squares(const Program& program, const Op& op) {
  const Buffer& squares = buffer_of(program, op, 0);
  if (!is_flag(op.values[0])) return "bad first flag";
  if (!is_vector(squares, squares.elements())) return "the squares must be a float32 vector";
  return is_vector(buffer_of(program, op, 1), 1) ? nullptr : "shape of the total";
}

void run_add_squares(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->add_squares({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]),
                          c.buffer(op.buffers[0]).elements(), op.values[0] != 0},
                         slice);
}

void accesses_add_squares(const Program&, const Section&, const Op& op, Team, Accesses* list) {
  touch(op, 0, Share::kFirst, false, list);
  touch(op, 1, Share::kFirst, true, list);
}

// clipByGlobalNorm: gradient (updated), total; maxNorm

const char* check_clip_by_global_norm(const Program& program, const Op& op) {
  return is_vector(buffer_of(program, op, 1), 1) ? check_clip_by_value(program, op) : "shape of the total";
}

void run_clip_by_global_norm(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->clip_by_global_norm({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]),
                                  c.layout_of(op.buffers[0]), static_cast<float>(op.values[0])},
                                 slice);
}

void accesses_clip_by_global_norm(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  touch(op, 0, update_share(buffer_of(program, op, 0), team), true, list);
  touch(op, 1, Share::kAll, false, list);
}

// average: parameter -> average (updated); rate (scalar)

const char* check_average(const Program& program, const Op& op) {
  const Buffer& parameter = buffer_of(program, op, 0);
  const bool alike = !parameter.batched && same_shape(parameter, buffer_of(program, op, 1));
  return alike ? check_scalar(program, op.values[0]) : "shape of the average";
}

void run_average(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->average({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.layout_of(op.buffers[0]),
                      c.scalars[static_cast<size_t>(op.values[0])]},
                     slice);
}

const OpKind kKinds[] = {
    {"regularize", "ruvv", check_regularize, run_regularize, nullptr, false, -1, accesses_through},
    {"maxNorm", "uv", check_max_norm, run_max_norm, nullptr, false, -1, accesses_max_norm},
    {"clipByValue", "uv", check_clip_by_value, run_clip_by_value, nullptr, false, -1, accesses_clip_by_value},
    {"columnSquares", "rw", check_column_squares, run_column_squares, nullptr, false, -1, accesses_column_squares},
    {"addSquares", "ruv", check_add_squares, run_add_squares, nullptr, false, -1, accesses_add_squares},
    {"clipByGlobalNorm", "urv", check_clip_by_global_norm, run_clip_by_global_norm, nullptr, false, -1,
     accesses_clip_by_global_norm},
    {"average", "ruv", check_average, run_average, nullptr, false, -1, accesses_through},
};

}  // namespace

const OpGroup kWeightOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
