// The dense layer: forward with bias and activation fused behind the product; backward for weights, bias and input.
#ifndef MNIST_TRAIN_KERNELS_DENSE_INL_H_
#define MNIST_TRAIN_KERNELS_DENSE_INL_H_

#include "kernels.h"
#include "matmul-inl.h"
#include "partition-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// output[rows, units] = activation(input[rows, inputs] * weights[inputs, units] + bias[units])
void dense(const DenseArgs& args, Slice slice) {
  const Epilogue epilogue = {args.bias, args.activation, args.negative_slope};
  multiply_block(share_matrix(args.rows, args.units, slice), args.inputs, {args.input, args.inputs, 1}, args.weights,
                 args.units, false, args.output, args.units, epilogue, slice.scratch);
}

// d_bias[units] = sum over rows of d_output[rows, units], in the order of the rows.
inline void sum_rows(const float* d_output, size_t rows, size_t units, Range columns, float* d_bias) {
  for (size_t j = columns.begin; j < columns.end; j += kLanes) {
    const size_t lanes = smaller(kLanes, columns.end - j);
    Vec sum = zero();
    for (size_t i = 0; i < rows; i++) sum = add(sum, load_partial(d_output + i * units + j, lanes));
    store_partial(d_bias + j, sum, lanes);
  }
}

// d_weights[inputs, units] = transpose(input) * d_output;  d_input[rows, inputs] = d_output * transpose(weights)
void dense_backward(const DenseBackwardArgs& args, Slice slice) {
  const Epilogue none = {nullptr, Activation::kLinear, 0.0f};
  multiply_block(share_matrix(args.inputs, args.units, slice), args.rows, {args.input, 1, args.inputs}, args.d_output,
                 args.units, false, args.d_weights, args.units, none, slice.scratch);
  if (args.d_bias) sum_rows(args.d_output, args.rows, args.units, share(args.units, kGrain, slice), args.d_bias);
  if (args.d_input) {
    multiply_block(share_matrix(args.rows, args.inputs, slice), args.units, {args.d_output, args.units, 1},
                   args.weights, args.units, true, args.d_input, args.inputs, none, slice.scratch);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_DENSE_INL_H_
