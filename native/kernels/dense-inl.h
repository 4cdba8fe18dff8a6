// The dense layer: forward with bias and activation behind the product; backward for weights, bias and input, with the
// optimizer's update behind the gradient where the program asks for it.
#ifndef MNIST_TRAIN_KERNELS_DENSE_INL_H_
#define MNIST_TRAIN_KERNELS_DENSE_INL_H_

#include "kernels.h"
#include "lanes-inl.h"
#include "matmul-inl.h"
#include "optimizers-inl.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// The block of the output, from lists of the input's rows.
template <class Entry>
inline void sparse_forward(const DenseArgs& args, const SparseRows& sparse, Block block, const Entry* entries) {
  for (size_t row = block.rows.begin; row < block.rows.end; row += RowOrder::kMostRows) {
    const Range rows = {row, smaller(row + RowOrder::kMostRows, block.rows.end)};
    if (sparse.order) fetch_lists(entries, sparse, rows);
    const RowOrder order(sparse, args.layout.rows, rows);
    for_columns(args.layout, block.columns, kPanelColumns, [&](const Columns& columns) {
      const Columns own = columns_at(args.output_layout, columns.column, columns.width);
      float* const output = args.output + own.offset;
      const float* const bias = args.bias ? args.bias + columns.column : nullptr;
      const float* const weights = args.weights + columns.offset;
      for_vectors<4>(columns.width,
                     SparseForward<Entry>{entries, sparse, order, weights, columns.stride, bias, output, own.stride});
      const Epilogue epilogue = {nullptr, args.activation, args.negative_slope, false};
      activate_rows(output + rows.begin * own.stride, own.stride, rows.size(), columns.width, epilogue);
    });
  }
}

// The columns of a panel of weights; `output` begins with them. Where the input is in panels, so is the depth of the
// product: chains go on from one to the next.
inline void dense_columns(const DenseArgs& args, Range rows, const Columns& columns, float* output, size_t stride,
                          float* scratch) {
  const Block block = {rows, {0, columns.width}};
  const size_t inputs = args.layout.rows;
  Epilogue epilogue = {args.bias ? args.bias + columns.column : nullptr, args.activation, args.negative_slope, false};
  if (args.input_layout.parts > 0 && is_narrow(rows.size(), columns.width, args.input_layout.columns)) {
    return multiply_narrow(block, inputs, TransposedMatrix{args.input, args.input_layout},
                           StridedFactor{args.weights + columns.offset, 1, columns.stride}, output, stride, epilogue,
                           scratch);
  }
  for_columns(args.input_layout, {0, inputs}, inputs, [&](const Columns& depth) {
    const bool last = depth.column + depth.width == inputs;
    epilogue.continues = depth.column > 0;
    epilogue.activation = last ? args.activation : Activation::kLinear;
    const StridedFactor weights = {args.weights + columns.offset + depth.column * columns.stride, 1, columns.stride};
    multiply_block(block, depth.width, {args.input + depth.offset, depth.stride, 1}, weights, output, stride, epilogue,
                   scratch);
  });
}

// output[rows, units] = activation(input[rows, inputs] * weights[inputs, units] + bias[units])
void dense(const DenseArgs& args, Slice slice) {
  const size_t units = args.layout.columns;
  const Block block = share_matrix(args.rows, units, 1, slice);
  if (block.rows.size() == 0) return;
  SparseRows sparse = args.sparse;
  if (!holds_lists(sparse) && block.rows.size() == args.rows) {
    sparse = lists_if_sparse(args.input, args.input_layout, args.rows, block.columns.size(), args.room);
  }
  if (holds_lists(sparse)) {
    return with_entries(sparse, [&](const auto* entries) { sparse_forward(args, sparse, block, entries); });
  }
  for_columns(args.layout, block.columns, units, [&](const Columns& columns) {
    const Columns own = columns_at(args.output_layout, columns.column, columns.width);
    dense_columns(args, block.rows, columns, args.output + own.offset, own.stride, slice.scratch);
  });
}

// d_bias[units] = sum over rows of d_output[rows, units], in the order of the rows.
template <class Rule>
inline void sum_rows(const DenseBackwardArgs& args, Range range, const Rule& rule) {
  for_columns(args.d_output_layout, range, args.layout.columns, [&](const Columns& columns) {
    for (size_t j = 0; j < columns.width; j += kLanes) {
      const size_t lanes = smaller(kLanes, columns.width - j);
      const float* d_output = args.d_output + columns.offset + j;
      Vec sum = zero();
      for (size_t i = 0; i < args.rows; i++) sum = add(sum, load_lanes(d_output + i * columns.stride, lanes));
      rule.apply(columns.column + j, sum, lanes);
    }
  });
}

// A row of the gradient of weights, from the first cache level to the rule. Not part of the loop that computes it: the
// rule's constants would take the accumulators' registers (AVX2: 100 µs in place of 58 for 784x64 weights with Adam),
// and every rule would have a copy of that loop.
template <class Rule>
void take_row(const void* rule, size_t at, const float* gradient, size_t count) {
  apply_to_row(*static_cast<const Rule*>(rule), at, gradient, count);
}

// Who takes the gradient of weights: a rule, or memory. It hides which rule, so that the code that computes the
// gradient is there once for all of them.
struct Taker {
  template <class Rule>
  explicit Taker(const Rule& rule) : take(take_row<Rule>), rule(&rule), gradient(nullptr) {}
  explicit Taker(const StoreRule& rule) : take(nullptr), rule(nullptr), gradient(rule.gradient) {}

  // Where rows of these columns go; those for a rule by way of `row`.
  RowSink sink(const Columns& columns, float* row) const {
    if (take) return {row, 0, take, rule};
    return {gradient + columns.offset, columns.stride, nullptr, nullptr};
  }

  decltype(RowSink::take) take;
  const void* rule;
  float* gradient;
};

// From a dense input: a strip of rows at a time, small enough to be in the first cache level still when the rule takes
// it. Where the weights' rows follow each other, so do the strip's, and the rule takes all at once.
inline void dense_gradient(const DenseBackwardArgs& args, Range inputs, const Columns& columns, const RowSink& sink,
                           float* scratch) {
  constexpr size_t kRows = 24, kNarrowRows = 64;
  alignas(64) float strip[kRows * kPanelColumns];
  static_assert(kNarrowRows * kNarrow <= kRows * kPanelColumns, "a strip of either kind fits");
  const Columns own = columns_at(args.d_output_layout, columns.column, columns.width);
  const StridedFactor d_output = {args.d_output + own.offset, 1, own.stride};
  const size_t most = !sink.take ? inputs.size() : columns.width <= kNarrow ? kNarrowRows : kRows;
  for_columns(args.input_layout, inputs, most, [&](const Columns& c) {
    float* const rows = sink.take ? strip : sink.rows + c.column * sink.stride;
    const size_t stride = sink.take ? columns.width : sink.stride;
    multiply_block({{0, c.width}, {0, columns.width}}, args.rows, {args.input + c.offset, 1, c.stride}, d_output, rows,
                   stride, kPlain, scratch);
    if (!sink.take) return;
    const size_t at = columns.offset + c.column * columns.stride;
    if (columns.stride == columns.width) return sink.take(sink.taker, at, strip, c.width * columns.width);
    for (size_t i = 0; i < c.width; i++) {
      sink.take(sink.taker, at + i * columns.stride, strip + i * columns.width, columns.width);
    }
  });
}

// From lists of the input's columns. The columns of d_output are copied next to each other first, unless they are a
// panel: 128 rows of 64 fill the first cache level just so, while at a stride of 128 they share half of its sets (29 µs
// a panel in place of 37).
template <class Entry>
inline void list_gradient(const DenseBackwardArgs& args, Range inputs, const Columns& columns,
                          const ListsOfColumns<Entry>& lists, RowSink sink, float* scratch) {
  const Columns own = columns_at(args.d_output_layout, columns.column, columns.width);
  const float* d_output = args.d_output + own.offset;
  size_t stride = own.stride;
  if (stride > columns.width && args.rows <= kPanelDepth) {
    copy_rows(d_output, stride, args.rows, columns.width, scratch, kPanelColumns);
    d_output = scratch;
    stride = kPanelColumns;
  }
  sink.rows += inputs.begin * sink.stride;
  for_vectors<kGradientVecs>(columns.width, SparseGradient<Entry>{lists, inputs, columns, d_output, stride, sink});
}

inline void weights_gradient(const DenseBackwardArgs& args, Slice slice, const Taker& taker) {
  const Block block = share_matrix(args.layout.rows, args.layout.columns, kGrain, slice);
  alignas(64) float row[kPanelColumns];
  const auto for_panels = [&](const auto& visit) {
    for_columns(args.layout, block.columns, kPanelColumns,
                [&](const Columns& columns) { visit(columns, taker.sink(columns, row)); });
  };
  SparseRows sparse = args.sparse;
  if (!holds_lists(sparse) && block.rows.size() == args.layout.rows) {
    sparse = lists_if_sparse(args.input, args.input_layout, args.rows, block.columns.size(), args.room);
  }
  if (!holds_lists(sparse)) {
    return for_panels([&](const Columns& columns, const RowSink& sink) {
      dense_gradient(args, block.rows, columns, sink, slice.scratch);
    });
  }
  with_entries(sparse, [&](const auto* entries) {
    const auto lists = lists_of_columns(entries, sparse, args.rows, args.layout.rows, args.room);
    for_panels([&](const Columns& columns, const RowSink& sink) {
      list_gradient(args, block.rows, columns, lists, sink, slice.scratch);
    });
  });
}

// Calls work(rule) with the rule that an update names, or with the one that stores the gradient.
template <class Work>
inline void with_rule(const Update& update, float* gradient, const Work& work) {
  switch (update.rule) {
    case Update::Rule::kSgd:
      return work(SgdRule(update.sgd));
    case Update::Rule::kAdam:
      return work(AdamRule(update.adam));
    case Update::Rule::kRmsprop:
      return work(RmspropRule(update.rmsprop));
    case Update::Rule::kAdagrad:
      return work(AdagradRule(update.adagrad));
    case Update::Rule::kLion:
      return work(LionRule(update.lion));
    case Update::Rule::kNone:
      if (gradient) work(StoreRule{gradient});
  }
}

// Columns of d_input = d_output * transpose(weights), from lists of the rows of d_output: zeros come through a
// rectifier. The weights are transposed a panel at a time, as the dense product does.
inline void sparse_d_input(const DenseBackwardArgs& args, const SparseRows& sparse, const Columns& columns,
                           float* scratch) {
  const size_t units = args.layout.columns;
  const TransposedMatrix weights = {args.weights, args.layout};
  for (size_t j = 0; j < columns.width; j += kPanelColumns) {
    const size_t width = smaller(kPanelColumns, columns.width - j);
    const size_t begin = columns.column + j;
    weights.pack({begin, begin + width}, {0, units}, scratch, kPanelColumns);
    for (size_t row = 0; row < args.rows; row += RowOrder::kMostRows) {
      const RowOrder order(sparse, units, {row, smaller(row + RowOrder::kMostRows, args.rows)});
      for_vectors<4>(width, SparseForward<NonZero>{sparse.values, sparse, order, scratch, kPanelColumns, nullptr,
                                                   args.d_input + columns.offset + j, columns.stride});
    }
  }
}

// d_input[rows, inputs] = d_output * transpose(weights)
inline void input_gradient(const DenseBackwardArgs& args, Slice slice) {
  const size_t inputs = args.layout.rows, units = args.layout.columns;
  const Block block = share_matrix(args.rows, inputs, 1, slice);
  SparseRows sparse = {};
  if (block.rows.size() == args.rows && units <= kPanelDepth) {
    sparse = lists_if_sparse(args.d_output, args.d_output_layout, args.rows, block.columns.size(), args.room);
  }
  for_columns(args.d_input_layout, block.columns, inputs, [&](const Columns& columns) {
    if (holds_lists(sparse)) return sparse_d_input(args, sparse, columns, slice.scratch);
    multiply_block({block.rows, {columns.column, columns.column + columns.width}}, units, {args.d_output, units, 1},
                   TransposedMatrix{args.weights, args.layout}, args.d_input + (columns.offset - columns.column),
                   columns.stride, kPlain, slice.scratch);
  });
}

// d_weights[inputs, units] = transpose(input) * d_output, and what belongs to it
void dense_backward(const DenseBackwardArgs& args, Slice slice) {
  with_rule(args.weights_update, args.d_weights, [&](const auto& rule) { weights_gradient(args, slice, Taker(rule)); });
  with_rule(args.bias_update, args.d_bias,
            [&](const auto& rule) { sum_rows(args, share(args.layout.columns, kGrain, slice), rule); });
  if (args.d_input) input_gradient(args, slice);
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_DENSE_INL_H_
