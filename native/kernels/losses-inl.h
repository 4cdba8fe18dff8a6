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

// The loss of a row is the mean of (p - t)² over its columns; d_predictions = 2 (p - t) / (rows * columns).
void mean_squared_error(const MeanSquaredErrorArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  const float scale = static_cast<float>(2.0 / (static_cast<double>(args.rows) * static_cast<double>(args.columns)));
  for (size_t row = rows.begin; row < rows.end; row++) {
    const size_t begin = row * args.columns;
    double sum = 0.0;
    for (size_t j = begin; j < begin + args.columns; j++) {
      const float d = args.predictions[j] - args.targets[j];
      const float square = d * d;
      sum += static_cast<double>(square);
      if (args.d_predictions) args.d_predictions[j] = d * scale;
    }
    args.metrics[row].loss = sum / static_cast<double>(args.columns);
    args.metrics[row].correct = 0.0;
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_LOSSES_INL_H_
