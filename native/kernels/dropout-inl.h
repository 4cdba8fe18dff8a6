// Dropout: which elements are kept follows from counter-based random numbers.
#ifndef MNIST_TRAIN_KERNELS_DROPOUT_INL_H_
#define MNIST_TRAIN_KERNELS_DROPOUT_INL_H_

#include "kernels.h"
#include "lanes-inl.h"
#include "philox-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

void dropout(const DropoutArgs& args, Slice slice) {
  const Block block = share_batch(args.rows, args.columns, args.by_parts, slice);
  const Vec threshold = set1(static_cast<float>(args.threshold)), scale = set1(args.scale);
  float numbers[kPhiloxWords];
  for (size_t row = block.rows.begin; row < block.rows.end; row++) {
    const float* input = args.input + row * args.columns;
    float* output = args.output + row * args.columns;
    const PhiloxStream stream = {args.order[row] + args.first_index, args.purpose, args.epoch, args.seed_low,
                                 args.seed_high};
    for (size_t column = block.columns.begin; column < block.columns.end; column += kPhiloxWords) {
      random_numbers(stream, column, numbers);
      const size_t width = smaller(kPhiloxWords, block.columns.end - column);
      for (size_t j = 0; j < width; j += kLanes) {
        const size_t lanes = smaller(kLanes, width - j);
        const Vec x = mul(load_lanes(input + column + j, lanes), scale);
        store_lanes(output + column + j, zero_where(less(load(numbers + j), threshold), x), lanes);
      }
    }
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_DROPOUT_INL_H_
