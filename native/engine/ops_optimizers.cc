// Updates of parameters, by themselves and behind the op that computes the gradient.
#include "op_fields.h"

namespace mnist_train {
namespace {

// Buffers of every update: parameter, gradient, then its slots, some of which may be absent. All have one shape.
const char* check_update(const Program& program, const Op& op) {
  const Buffer& parameter = buffer_of(program, op, 0);
  if (parameter.batched) return "the parameter must not be batched";
  for (size_t field = 1; field < kMaxOpBuffers; field++) {
    if (!absent(op, field) && !same_shape(parameter, buffer_of(program, op, field))) {
      return field == 1 ? "shape of the gradient" : "shape of a slot";
    }
  }
  return nullptr;
}

// The same, for an update whose values from `first` on, so many, are scalars.
template <size_t first, size_t count>
const char* check_update_by_scalars(const Program& program, const Op& op) {
  for (size_t value = first; value < first + count; value++) {
    if (const char* wrong = check_scalar(program, op.values[value])) return wrong;
  }
  return check_update(program, op);
}

const char* check_sgd(const Program& program, const Op& op) {
  return is_flag(op.values[2]) ? check_update_by_scalars<0, 1>(program, op) : "bad nesterov flag";
}

float scalar_of(const StepContext& c, const Op& op, size_t value) {
  return c.scalars[static_cast<size_t>(op.values[value])];
}
float value_of(const Op& op, size_t value) { return static_cast<float>(op.values[value]); }
float one_minus(const Op& op, size_t value) { return static_cast<float>(1.0 - op.values[value]); }

// sgd: parameter, gradient, velocity?; learningRate (scalar), momentum, nesterov, weightDecay

SgdArgs sgd_args(const StepContext& c, const Op& op) {
  return {c.pointer<float>(op.buffers[0]),
          c.pointer<float>(op.buffers[1]),
          c.pointer<float>(op.buffers[2]),
          c.layout_of(op.buffers[0]),
          scalar_of(c, op, 0),
          value_of(op, 1),
          value_of(op, 3),
          op.values[2] != 0};
}

void run_sgd(const StepContext& c, const Op& op, Slice slice) { c.kernels->sgd(sgd_args(c, op), slice); }

// adam: parameter, gradient, firstMoment, secondMoment; beta1, beta2, epsilon, weightDecay,
// stepSize, correction, decay (scalars)

AdamArgs adam_args(const StepContext& c, const Op& op) {
  return {c.pointer<float>(op.buffers[0]),
          c.pointer<float>(op.buffers[1]),
          c.pointer<float>(op.buffers[2]),
          c.pointer<float>(op.buffers[3]),
          c.layout_of(op.buffers[0]),
          value_of(op, 0),
          one_minus(op, 0),
          value_of(op, 1),
          one_minus(op, 1),
          value_of(op, 2),
          value_of(op, 3),
          scalar_of(c, op, 4),
          scalar_of(c, op, 5),
          scalar_of(c, op, 6)};
}

void run_adam(const StepContext& c, const Op& op, Slice slice) { c.kernels->adam(adam_args(c, op), slice); }

// rmsprop: parameter, gradient, meanSquare, meanGradient?, velocity?; learningRate (scalar), alpha, epsilon, momentum,
// weightDecay

RmspropArgs rmsprop_args(const StepContext& c, const Op& op) {
  return {c.pointer<float>(op.buffers[0]),
          c.pointer<float>(op.buffers[1]),
          c.pointer<float>(op.buffers[2]),
          c.pointer<float>(op.buffers[3]),
          c.pointer<float>(op.buffers[4]),
          c.layout_of(op.buffers[0]),
          value_of(op, 1),
          one_minus(op, 1),
          value_of(op, 2),
          value_of(op, 3),
          value_of(op, 4),
          scalar_of(c, op, 0)};
}

void run_rmsprop(const StepContext& c, const Op& op, Slice slice) { c.kernels->rmsprop(rmsprop_args(c, op), slice); }

// adagrad: parameter, gradient, sumOfSquares; rate (scalar), epsilon, weightDecay

AdagradArgs adagrad_args(const StepContext& c, const Op& op) {
  return {c.pointer<float>(op.buffers[0]),
          c.pointer<float>(op.buffers[1]),
          c.pointer<float>(op.buffers[2]),
          c.layout_of(op.buffers[0]),
          value_of(op, 1),
          value_of(op, 2),
          scalar_of(c, op, 0)};
}

void run_adagrad(const StepContext& c, const Op& op, Slice slice) { c.kernels->adagrad(adagrad_args(c, op), slice); }

// lion: parameter, gradient, momentum; learningRate, decay (scalars), beta1, beta2

LionArgs lion_args(const StepContext& c, const Op& op) {
  return {c.pointer<float>(op.buffers[0]),
          c.pointer<float>(op.buffers[1]),
          c.pointer<float>(op.buffers[2]),
          c.layout_of(op.buffers[0]),
          value_of(op, 2),
          one_minus(op, 2),
          value_of(op, 3),
          one_minus(op, 3),
          scalar_of(c, op, 0),
          scalar_of(c, op, 1)};
}

void run_lion(const StepContext& c, const Op& op, Slice slice) { c.kernels->lion(lion_args(c, op), slice); }

void accesses_update(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  touch_update(op, update_share(buffer_of(program, op, 0), team), list);
}

constexpr OpKind update_kind(const char* name, const char* fields, decltype(OpKind::check) check,
                             decltype(OpKind::run) run) {
  return {name, fields, check, run, nullptr, false, -1, accesses_update, false, false, true};
}

const OpKind kKinds[] = {
    update_kind("sgd", "urUvvvv", check_sgd, run_sgd),
    update_kind("adam", "uruuvvvvvvv", check_update_by_scalars<4, 3>, run_adam),
    update_kind("rmsprop", "uruUUvvvvv", check_update_by_scalars<0, 1>, run_rmsprop),
    update_kind("adagrad", "uruvvv", check_update_by_scalars<0, 1>, run_adagrad),
    update_kind("lion", "uruvvvv", check_update_by_scalars<0, 2>, run_lion),
};

}  // namespace

void touch_update(const Op& op, Share share, std::vector<Access>* list) {
  for (size_t field = 0; field < kMaxOpBuffers; field++) touch(op, field, share, field != 1, list);
}

Update update_of(const StepContext& c, int index) {
  Update update;
  if (index == kNoOp) return update;
  const Op& op = c.section->ops[static_cast<size_t>(index)];
  if (op.kind->run == run_sgd) {
    update.rule = Update::Rule::kSgd;
    update.sgd = sgd_args(c, op);
  } else if (op.kind->run == run_adam) {
    update.rule = Update::Rule::kAdam;
    update.adam = adam_args(c, op);
  } else if (op.kind->run == run_rmsprop) {
    update.rule = Update::Rule::kRmsprop;
    update.rmsprop = rmsprop_args(c, op);
  } else if (op.kind->run == run_adagrad) {
    update.rule = Update::Rule::kAdagrad;
    update.adagrad = adagrad_args(c, op);
  } else {
    update.rule = Update::Rule::kLion;
    update.lion = lion_args(c, op);
  }
  return update;
}

const OpGroup kOptimizerOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
