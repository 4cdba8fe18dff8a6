// The dense layer: forward with bias and activation behind the product; backward for weights, bias and input, with the
// optimizer's update behind the gradient where the program asks for it.
#ifndef MNIST_TRAIN_KERNELS_DENSE_INL_H_
#define MNIST_TRAIN_KERNELS_DENSE_INL_H_

#include "kernels.h"
#include "matmul-inl.h"
#include "optimizers-inl.h"
#include "partition-inl.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

inline bool is_sparse(const SparseBatch* sparse) { return sparse != nullptr && sparse->active; }

// output = activation(output) over the block, in place.
inline void activate_block(const DenseArgs& args, Block block) {
  for (size_t i = block.rows.begin; i < block.rows.end; i++) {
    float* row = args.output + i * args.units;
    for (size_t j = block.columns.begin; j < block.columns.end; j += kLanes) {
      const size_t lanes = smaller(kLanes, block.columns.end - j);
      store_lanes(row + j, activate(load_lanes(row + j, lanes), args.activation, args.negative_slope), lanes);
    }
  }
}

// output[rows, units] = activation(input[rows, inputs] * weights[inputs, units] + bias[units])
void dense(const DenseArgs& args, Slice slice) {
  const Block block = share_rows(args.rows, args.units, slice);
  if (is_sparse(args.sparse)) {
    for (size_t row = block.rows.begin; row < block.rows.end; row += RowOrder::kMostRows) {
      const RowOrder order(*args.sparse, {row, smaller(row + RowOrder::kMostRows, block.rows.end)});
      for_column_blocks(block.columns, SparseForward{args, order});
    }
    if (args.activation != Activation::kLinear) activate_block(args, block);
    return;
  }
  const Epilogue epilogue = {args.bias, args.activation, args.negative_slope};
  multiply_block(block, args.inputs, {args.input, args.inputs, 1}, args.weights, args.units, false, args.output,
                 args.units, epilogue, slice.scratch);
}

// d_bias[units] = sum over rows of d_output[rows, units], in the order of the rows.
template <class Rule>
inline void sum_rows(const DenseBackwardArgs& args, Range columns, const Rule& rule) {
  for (size_t j = columns.begin; j < columns.end; j += kLanes) {
    const size_t lanes = smaller(kLanes, columns.end - j);
    Vec sum = zero();
    for (size_t i = 0; i < args.rows; i++) sum = add(sum, load_lanes(args.d_output + i * args.units + j, lanes));
    rule.apply(j, sum, lanes);
  }
}

// Gradients a strip at a time: small enough to be in the first cache level still when the rule takes them.
template <class Rule>
inline void dense_gradient(const DenseBackwardArgs& args, Block block, float* scratch, const Rule& rule) {
  constexpr size_t kRows = 24, kColumns = kPanelColumns;
  alignas(64) float strip[kRows * kColumns];
  for (size_t column = block.columns.begin; column < block.columns.end; column += kColumns) {
    const size_t width = smaller(kColumns, block.columns.end - column);
    for (size_t k = block.rows.begin; k < block.rows.end; k += kRows) {
      const size_t rows = smaller(kRows, block.rows.end - k);
      multiply_block({{0, rows}, {0, width}}, args.rows, {args.input + k, 1, args.inputs}, args.d_output + column,
                     args.units, false, strip, kColumns, {nullptr, Activation::kLinear, 0.0f}, scratch);
      for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < width; j += kLanes) {
          const size_t lanes = smaller(kLanes, width - j);
          rule.apply((k + i) * args.units + column + j, load_lanes(strip + i * kColumns + j, lanes), lanes);
        }
      }
    }
  }
}

// Without an update, straight to memory.
inline void dense_gradient(const DenseBackwardArgs& args, Block block, float* scratch, const StoreRule& rule) {
  multiply_block(block, args.rows, {args.input, 1, args.inputs}, args.d_output, args.units, false, rule.gradient,
                 args.units, {nullptr, Activation::kLinear, 0.0f}, scratch);
}

template <class Rule>
inline void weights_gradient(const DenseBackwardArgs& args, Slice slice, const Rule& rule) {
  const Block block = share_rows(args.inputs, args.units, slice);
  if (is_sparse(args.sparse)) {
    for_column_blocks(block.columns, SparseGradient<Rule>{args, block.rows, rule});
  } else {
    dense_gradient(args, block, slice.scratch, rule);
  }
}

// Calls work(rule) with the rule that an update names, or with the one that stores the gradient.
template <class Work>
inline void with_rule(const Update& update, float* gradient, const Work& work) {
  switch (update.rule) {
    case Update::Rule::kSgd:
      return work(SgdRule(update.sgd));
    case Update::Rule::kAdam:
      return work(AdamRule(update.adam));
    case Update::Rule::kNone:
      if (gradient) work(StoreRule{gradient});
  }
}

// d_weights[inputs, units] = transpose(input) * d_output;  d_input[rows, inputs] = d_output * transpose(weights)
void dense_backward(const DenseBackwardArgs& args, Slice slice) {
  with_rule(args.weights_update, args.d_weights, [&](const auto& rule) { weights_gradient(args, slice, rule); });
  with_rule(args.bias_update, args.d_bias,
            [&](const auto& rule) { sum_rows(args, share(args.units, kGrain, slice), rule); });
  if (args.d_input) {
    multiply_block(share_matrix(args.rows, args.inputs, slice), args.units, {args.d_output, args.units, 1},
                   args.weights, args.units, true, args.d_input, args.inputs, {nullptr, Activation::kLinear, 0.0f},
                   slice.scratch);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_DENSE_INL_H_
