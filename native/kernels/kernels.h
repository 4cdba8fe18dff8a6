// The kernels' interface: plain arguments and one table of functions per instruction set. Included by everybody, so it
// holds data and declarations only. docs/numerics.md states the order of arithmetic.
//
// Every kernel computes the part of its output that `slice` names; the parts together are the whole, and bits do not
// depend on how many there are. Kernels check nothing and cannot fail.
#ifndef MNIST_TRAIN_KERNELS_KERNELS_H_
#define MNIST_TRAIN_KERNELS_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

namespace mnist_train {

// In the order of ACTIVATIONS in src/program/ops.ts.
enum class Activation { kLinear, kRelu, kLeakyRelu, kSigmoid, kTanh, kGelu, kCount };

struct Slice {
  size_t part;
  size_t parts;
  float* scratch;  // this part's own memory, of the size that scratch_floats() gave
};

// A batch as lists of its non-zeros: [rows, columns], sorted by column in each row and by row in each column.
struct NonZero {
  uint32_t index;  // of the column, in a list of a row; of the row, in a list of a column
  float value;
};

struct SparseBatch {
  bool active;  // false: this batch is in the dense buffer instead
  size_t columns;
  NonZero* by_row;  // [capacity, row_stride]
  size_t row_stride;
  uint32_t*
      chunk_starts;  // [capacity, chunks + 1]: where each run of 16 columns begins in its row's list; then its end
  size_t chunks;
  NonZero* by_column;  // [columns, column_stride]
  size_t column_stride;
  NonZero** column_ends;  // [columns]

  const NonZero* row(size_t i) const { return by_row + i * row_stride; }
  size_t row_length(size_t i) const { return chunk_starts[i * (chunks + 1) + chunks]; }
  NonZero* column(size_t k) const { return by_column + k * column_stride; }
};

// output[m, n] = a[m, k] * b[k, n], row-major; a transposed operand is stored as [k, m] or [n, k].
struct MatmulArgs {
  const float* a;
  const float* b;
  float* output;
  size_t m, n, k;
  bool transpose_a, transpose_b;
};

// output[rows, units] = activation(input[rows, inputs] * weights[inputs, units] + bias[units]); bias may be null. The
// input is `sparse` where that is not null and active.
struct DenseArgs {
  const float* input;
  const SparseBatch* sparse;
  const float* weights;
  const float* bias;
  float* output;
  size_t rows, inputs, units;
  Activation activation;
  float negative_slope;
};

// velocity is null without momentum. Matrices are [rows, columns].
struct SgdArgs {
  float* parameter;
  const float* gradient;
  float* velocity;
  size_t rows, columns;
  float learning_rate, momentum, weight_decay;
  bool nesterov;
};

struct AdamArgs {
  float* parameter;
  const float* gradient;
  float* first_moment;
  float* second_moment;
  size_t rows, columns;
  float beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon;
  float step_size, correction, decay;
};

// An optimizer's update that a gradient is fed to as it is computed, instead of going to memory. `gradient` is not
// read.
struct Update {
  enum class Rule { kNone, kSgd, kAdam } rule = Rule::kNone;
  SgdArgs sgd;
  AdamArgs adam;
};

// d_weights, d_bias and d_input may be null. With an update, d_weights or d_bias is not written. No update goes
// together with d_input, which needs the weights as they were.
struct DenseBackwardArgs {
  const float* input;
  const SparseBatch* sparse;
  const float* weights;
  const float* d_output;
  float* d_weights;
  float* d_bias;
  float* d_input;
  size_t rows, inputs, units;
  Update weights_update, bias_update;
};

struct ActivationArgs {
  const float* input;
  float* output;
  size_t count;
  Activation activation;
  float negative_slope;
};

// d_input may be d_output.
struct ActivationBackwardArgs {
  const float* reference;
  const float* d_output;
  float* d_input;
  size_t count;
  Activation activation;
  float negative_slope;
};

struct SoftmaxArgs {
  const float* input;
  float* output;
  size_t rows, columns;
};

struct SoftmaxBackwardArgs {
  const float* output;
  const float* d_output;
  float* d_input;
  size_t rows, columns;
};

// What a sample adds to the step's metrics; the engine sums them in the order of the rows.
struct RowMetrics {
  double loss;
  double correct;
};

// d_logits is null in evaluation.
struct SoftmaxCrossEntropyArgs {
  const float* logits;
  const int32_t* targets;
  float* d_logits;
  RowMetrics* metrics;
  size_t rows, classes;
  double label_smoothing;
};

struct MeanSquaredErrorArgs {
  const float* predictions;
  const float* targets;
  float* d_predictions;
  RowMetrics* metrics;
  size_t rows, columns;
};

// output[row] = bytes[order[row]] / 255, or a copy of floats[order[row]]; order may be null for consecutive rows. Where
// `sparse` is not null and active, the row lists are written instead of output.
struct GatherArgs {
  const uint8_t* bytes;
  const float* floats;
  const uint32_t* order;
  float* output;
  SparseBatch* sparse;
  size_t rows, columns;
};

// Makes the column lists from the row lists.
struct ColumnListsArgs {
  SparseBatch* sparse;
  size_t rows;
};

struct KernelTable {
  const char* isa;
  void (*matmul)(const MatmulArgs&, Slice);
  void (*dense)(const DenseArgs&, Slice);
  void (*dense_backward)(const DenseBackwardArgs&, Slice);
  void (*activation)(const ActivationArgs&, Slice);
  void (*activation_backward)(const ActivationBackwardArgs&, Slice);
  void (*softmax)(const SoftmaxArgs&, Slice);
  void (*softmax_backward)(const SoftmaxBackwardArgs&, Slice);
  void (*softmax_cross_entropy)(const SoftmaxCrossEntropyArgs&, Slice);
  void (*mean_squared_error)(const MeanSquaredErrorArgs&, Slice);
  void (*sgd)(const SgdArgs&, Slice);
  void (*adam)(const AdamArgs&, Slice);
  void (*gather)(const GatherArgs&, Slice);
  void (*column_lists)(const ColumnListsArgs&, Slice);
  double (*multiply_adds)(size_t rounds, float* sums);  // see peak-inl.h
};

// The floats of scratch memory that a part needs for matrix products of this depth: one panel of b, or of a block of
// its depth when it is deeper. The greatest panel is a quarter of a 1 MB second-level cache.
constexpr size_t kPanelColumns = 64;
constexpr size_t kPanelDepth = 1024;
constexpr size_t scratch_floats(size_t depth) { return (depth < kPanelDepth ? depth : kPanelDepth) * kPanelColumns; }

}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_KERNELS_H_
