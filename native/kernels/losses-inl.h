// Losses with their gradients. Each row reports its own loss and whether it was right; the engine sums rows in order.
#ifndef MNIST_TRAIN_KERNELS_LOSSES_INL_H_
#define MNIST_TRAIN_KERNELS_LOSSES_INL_H_

#include "kernels.h"
#include "lanes-inl.h"
#include "math-inl.h"
#include "softmax-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// d_logits = (softmax - smoothed target) / rows; the loss of a row is log(sum exp) - Σ target * (x - maximum).
void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  const size_t classes = args.classes;
  const float off = static_cast<float>(args.label_smoothing / static_cast<double>(classes));
  const float on = static_cast<float>(1.0 - args.label_smoothing);
  const float hit = on + off;
  const float scale = 1.0f / static_cast<float>(args.rows);
  constexpr size_t kBlock = kPanelColumns;  // exponentials of one block of classes, when there is nowhere to keep them
  for (size_t row = rows.begin; row < rows.end; row++) {
    const float* x = args.logits + row * classes;
    const int32_t target = args.targets[row];
    const Maximum largest = row_maximum(x, classes);
    const float maximum = largest.value;
    float sum = 0.0f;
    if (args.d_logits) {
      float* d = args.d_logits + row * classes;
      sum = exponentials(x, classes, maximum, d);
      const float reciprocal = 1.0f / sum;
      for (size_t j = 0; j < classes; j++) {
        const float p = d[j] * reciprocal;
        const float t = static_cast<int32_t>(j) == target ? hit : off;
        d[j] = (p - t) * scale;
      }
    } else {
      float e[kBlock];
      for (size_t begin = 0; begin < classes; begin += kBlock) {
        const size_t count = smaller(kBlock, classes - begin);
        exponentials(x + begin, count, maximum, e);
        for (size_t j = 0; j < count; j++) sum = sum + e[j];
      }
    }
    float shifted = 0.0f;
    for (size_t j = 0; j < classes; j++) shifted = shifted + (x[j] - maximum);
    const bool known = target >= 0 && static_cast<size_t>(target) < classes;
    const float a = known ? x[target] - maximum : 0.0f;
    const float loss = (log_scalar(sum) - on * a) - off * shifted;
    args.metrics[row].loss = known ? static_cast<double>(loss) : static_cast<double>(__builtin_nanf(""));
    args.metrics[row].correct = known && largest.index == static_cast<size_t>(target) ? 1.0 : 0.0;
  }
}

// The same with u = weights * smoothed target, of class indices or of rows of shares: d_logits = (softmax * sum of u -
// u) / rows, and the loss of a row is the sum of u * (log(sum exp) - (x - maximum)).
void cross_entropy(const CrossEntropyArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  const size_t classes = args.classes;
  const float off = static_cast<float>(args.label_smoothing / static_cast<double>(classes));
  const float on = static_cast<float>(1.0 - args.label_smoothing);
  const float scale = 1.0f / static_cast<float>(args.rows);
  float* const e = slice.scratch;
  float* const u = e + classes;
  for (size_t row = rows.begin; row < rows.end; row++) {
    const float* x = args.logits + row * classes;
    const float* shares = args.shares ? args.shares + row * classes : nullptr;
    // An index that no class has is none of theirs.
    const size_t target = shares ? row_maximum(shares, classes).index
                                 : static_cast<size_t>(static_cast<int64_t>(args.classes_of_rows[row]));
    const Maximum largest = row_maximum(x, classes);
    const float sum = exponentials(x, classes, largest.value, e);
    const float logarithm = log_scalar(sum), reciprocal = 1.0f / sum;
    float total = 0.0f;
    double loss = 0.0;
    for (size_t j = 0; j < classes; j++) {
      const float t = on * (shares ? shares[j] : j == target ? 1.0f : 0.0f) + off;
      u[j] = args.weights ? args.weights[j] * t : t;
      total = total + u[j];
      const float part = u[j] * (logarithm - (x[j] - largest.value));
      loss += static_cast<double>(part);
    }
    args.metrics[row].loss = target < classes ? loss : static_cast<double>(__builtin_nanf(""));
    args.metrics[row].correct = largest.index == target ? 1.0 : 0.0;
    if (!args.d_logits) continue;
    float* d = args.d_logits + row * classes;
    for (size_t j = 0; j < classes; j++) {
      const float p = e[j] * reciprocal;
      d[j] = (p * total - u[j]) * scale;
    }
  }
}

// The loss of a row is the mean of max(x, 0) - x * t + log(1 + exp(-|x|)) over its columns, t the smoothed target;
// d_logits = (sigmoid(x) - t) / (rows * columns).
void binary_cross_entropy(const BinaryCrossEntropyArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  const double columns = static_cast<double>(args.columns);
  const float on = static_cast<float>(1.0 - args.label_smoothing);
  const float half = static_cast<float>(args.label_smoothing / 2.0);
  const float scale = static_cast<float>(1.0 / (static_cast<double>(args.rows) * columns));
  for (size_t row = rows.begin; row < rows.end; row++) {
    double loss = 0.0, hits = 0.0;
    for (size_t column = 0; column < args.columns; column += kLanes) {
      const size_t lanes = smaller(kLanes, args.columns - column);
      const float* x = args.logits + row * args.columns + column;
      const float* target = args.targets + row * args.columns + column;
      const Vec logits = load_lanes(x, lanes), t = add(mul(load_lanes(target, lanes), set1(on)), set1(half));
      const Vec whole = add(set1(1.0f), exp_nonpositive(sub(zero(), abs(logits))));
      const Vec base = sub(select(less(zero(), logits), logits, zero()), mul(logits, t));
      float wholes[kLanes], bases[kLanes];
      store(wholes, whole);
      store(bases, base);
      for (size_t j = 0; j < lanes; j++) {
        const float part = bases[j] + log_scalar(wholes[j]);
        loss += static_cast<double>(part);
        hits += (x[j] > 0.0f) == (target[j] > 0.5f) ? 1.0 : 0.0;
      }
      if (!args.d_logits) continue;
      const Vec d = mul(sub(sigmoid(logits), t), set1(scale));
      store_lanes(args.d_logits + row * args.columns + column, d, lanes);
    }
    args.metrics[row].loss = loss / columns;
    args.metrics[row].correct = hits / columns;
  }
}

// The loss of a row is the mean of rule.value(p - t) over its columns; d_predictions = rule.slope(p - t) * factor /
// (rows * columns).
template <class Rule>
inline void regression(const RegressionArgs& args, double factor, const Rule& rule, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  const double columns = static_cast<double>(args.columns);
  const float scale = static_cast<float>(factor / (static_cast<double>(args.rows) * columns));
  for (size_t row = rows.begin; row < rows.end; row++) {
    const size_t begin = row * args.columns;
    double sum = 0.0;
    for (size_t j = begin; j < begin + args.columns; j++) {
      const float d = args.predictions[j] - args.targets[j];
      sum += static_cast<double>(rule.value(d));
      if (args.d_predictions) args.d_predictions[j] = rule.slope(d) * scale;
    }
    args.metrics[row].loss = sum / columns;
    args.metrics[row].correct = 0.0;
  }
}

inline float magnitude(float d) { return d < 0.0f ? -d : d; }

// d kept within plus and minus `most`; NaN stays.
inline float kept_within(float d, float most) { return d > most ? most : d < -most ? -most : d; }

struct Square {
  float value(float d) const { return d * d; }
  float slope(float d) const { return d; }
};

// Its slope is the sign, 0 at 0.
struct Magnitude {
  float value(float d) const { return magnitude(d); }
  float slope(float d) const { return d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : d; }
};

struct Huber {
  float delta, half_delta;
  float value(float d) const {
    const float size = magnitude(d);
    if (size <= delta) return 0.5f * (d * d);
    return delta * (size - half_delta);
  }
  float slope(float d) const { return kept_within(d, delta); }
};

void mean_squared_error(const RegressionArgs& args, Slice slice) { regression(args, 2.0, Square(), slice); }
void mean_absolute_error(const RegressionArgs& args, Slice slice) { regression(args, 1.0, Magnitude(), slice); }
void huber(const RegressionArgs& args, Slice slice) {
  regression(args, 1.0, Huber{args.delta, 0.5f * args.delta}, slice);
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_LOSSES_INL_H_
