// Penalties on weights and limits of their norms.
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

void accesses_regularize(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
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

const OpKind kKinds[] = {
    {"regularize", "ruvv", check_regularize, run_regularize, nullptr, false, -1, accesses_regularize},
    {"maxNorm", "uv", check_max_norm, run_max_norm, nullptr, false, -1, accesses_max_norm},
};

}  // namespace

const OpGroup kWeightOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
