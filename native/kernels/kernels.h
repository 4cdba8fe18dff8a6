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

// Sums over samples that are not divided by outputs are made in parts of so many: SAMPLES_PER_PART in
// src/program/ops.ts. Images are divided among threads by whole parts.
constexpr size_t kSamplesPerPart = 16;
constexpr size_t parts_of(size_t samples) { return (samples + kSamplesPerPart - 1) / kSamplesPerPart; }

// A product of `columns` columns may keep its right factor in panels. kPanelDepth rows of one take a quarter of a 1 MB
// second-level cache.
constexpr size_t kPanelColumns = 64;
constexpr size_t kPanelDepth = 1024;

// Where the elements of a weight matrix, its gradient and its slots are. With parts = 0 they are row-major. Else
// columns are divided among so many parts as partition.h says, each share is cut into panels of kPanelColumns columns
// (the last may be narrower), and the panels follow each other, each row-major. What a thread updates is then
// contiguous: two threads on halves of one row-major matrix took 84 µs for gradient and update of 784x128 weights, on
// panels of their own 52. And a panel is what the matrix kernels would have to pack.
struct MatrixLayout {
  size_t rows, columns;
  size_t parts;
};

// Non-zeros: of a row, where `index` is the column, or of a column, where it is the row.
struct Pixel {
  uint32_t word;  // index << 8 | value; stands for value / 255
};
constexpr size_t kMostPixelIndices = size_t{1} << 24;
struct NonZero {
  uint32_t index;
  float value;
};

// A vector may be stored behind the last entry of lists that are made.
constexpr size_t kRoomBehindLists = 16;

// Samples as lists of their non-zeros, by increasing column. One of `pixels` and `values` is null; both are where
// samples are dense.
struct SparseRows {
  const Pixel* pixels;
  const NonZero* values;
  const size_t* starts;   // [samples + 1]
  const uint32_t* order;  // which samples the rows are; null: the first ones
};

// A thread's own room to make lists of a batch in, by columns of sparse rows and by rows of dense ones. To share lists
// costs more than to make them twice, since every cache line then moves from core to core.
struct ListRoom {
  void* columns;   // lists of up to `stride` Pixels or NonZeros
  size_t stride;   // at least the rows
  void** ends;     // of the lists of columns
  NonZero* rows;   // of the whole batch, with kRoomBehindLists; null: dense rows are left as they are
  size_t* starts;  // of the rows' lists
};

// output[m, n] = a[m, k] * b[k, n], row-major; a transposed operand is stored as [k, m] or [n, k].
struct MatmulArgs {
  const float* a;
  const float* b;
  float* output;
  size_t m, n, k;
  bool transpose_a, transpose_b;
};

// output[rows, units] = activation(input[rows, inputs] * weights[inputs, units] + bias[units]), where inputs and units
// are the layout's rows and columns; bias may be null. The input is `sparse` where that holds lists.
struct DenseArgs {
  const float* input;
  MatrixLayout input_layout;
  SparseRows sparse;
  ListRoom room;
  const float* weights;
  MatrixLayout layout;
  const float* bias;
  float* output;
  MatrixLayout output_layout;
  size_t rows;
  Activation activation;
  float negative_slope;
};

// Updates: the parameter, its gradient and its slots have the same layout. velocity is null without momentum.
struct SgdArgs {
  float* parameter;
  const float* gradient;
  float* velocity;
  MatrixLayout layout;
  float learning_rate, momentum, weight_decay;
  bool nesterov;
};

struct AdamArgs {
  float* parameter;
  const float* gradient;
  float* first_moment;
  float* second_moment;
  MatrixLayout layout;
  float beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon, weight_decay;
  float step_size, correction, decay;
};

// mean_gradient is null unless centered, velocity without momentum.
struct RmspropArgs {
  float* parameter;
  const float* gradient;
  float* mean_square;
  float* mean_gradient;
  float* velocity;
  MatrixLayout layout;
  float alpha, one_minus_alpha, epsilon, momentum, weight_decay;
  float learning_rate;
};

struct AdagradArgs {
  float* parameter;
  const float* gradient;
  float* sum_of_squares;
  MatrixLayout layout;
  float epsilon, weight_decay;
  float rate;
};

struct LionArgs {
  float* parameter;
  const float* gradient;
  float* momentum;
  MatrixLayout layout;
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
  float learning_rate, decay;
};

// An optimizer's update that a gradient is fed to as it is computed, instead of going to memory. `gradient` is not
// read. The arguments of the rule alone count.
struct Update {
  enum class Rule { kNone, kSgd, kAdam, kRmsprop, kAdagrad, kLion } rule = Rule::kNone;
  SgdArgs sgd;
  AdamArgs adam;
  RmspropArgs rmsprop;
  AdagradArgs adagrad;
  LionArgs lion;
};

// d_weights, d_bias and d_input may be null. With an update, d_weights or d_bias is not written. No update goes
// together with d_input, which needs the weights as they were. `layout` is that of weights and d_weights. The input is
// `sparse` where that holds lists.
struct DenseBackwardArgs {
  const float* input;
  MatrixLayout input_layout;
  SparseRows sparse;
  ListRoom room;
  const float* weights;
  MatrixLayout layout;
  const float* d_output;
  MatrixLayout d_output_layout;  // in panels only where the weights are, and without d_input
  float* d_weights;
  float* d_bias;
  float* d_input;
  MatrixLayout d_input_layout;
  size_t rows;
  Update weights_update, bias_update;
};

// With by_parts, here and below, threads divide the batch by parts of samples: see partition.h.
struct ActivationArgs {
  const float* input;
  float* output;
  size_t rows, columns;
  Activation activation;
  float negative_slope;
  bool by_parts;
};

// d_input may be d_output; `layout` is that of both.
struct ActivationBackwardArgs {
  const float* reference;
  MatrixLayout reference_layout;
  const float* d_output;
  float* d_input;
  MatrixLayout layout;
  size_t rows, columns;
  Activation activation;
  float negative_slope;
  bool by_parts;
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

// Targets are class indices or rows of shares; the other is null. weights[classes] may be null, for 1 throughout.
// `scratch` of the slice holds cross_entropy_scratch_floats().
struct CrossEntropyArgs {
  const float* logits;
  const int32_t* classes_of_rows;
  const float* shares;
  const float* weights;
  float* d_logits;
  RowMetrics* metrics;
  size_t rows, classes;
  double label_smoothing;
};

struct BinaryCrossEntropyArgs {
  const float* logits;
  const float* targets;
  float* d_logits;
  RowMetrics* metrics;
  size_t rows, columns;
  double label_smoothing;
};

// Of losses of predictions and targets element by element.
struct RegressionArgs {
  const float* predictions;
  const float* targets;
  float* d_predictions;
  RowMetrics* metrics;
  size_t rows, columns;
  float delta;  // of huber
};

// output[row] = bytes[order[row]] / 255, or a copy of floats[order[row]], or the same of sparse samples; order may be
// null for consecutive rows.
struct GatherArgs {
  const uint8_t* bytes;
  const float* floats;
  SparseRows sparse;
  const uint32_t* order;
  float* output;
  size_t rows, columns;
  bool by_parts;
};

// Makes lists of samples [rows, columns], pixels from bytes or values from floats; the other source is null.
struct RowListsArgs {
  const uint8_t* bytes;
  const float* floats;
  size_t rows, columns;
  Pixel* pixels;
  NonZero* values;
  size_t* starts;  // [rows + 1]
};

// Which windows of images an op looks at: see Windows in src/program/ops.ts. Every window has a tap inside the image.
struct Windows {
  size_t input_height, input_width, channels, kernel_height, kernel_width, stride_y, stride_x, pad_top, pad_left,
      output_height, output_width;
};

// output[rows, positions, filters] = activation(windows of input[rows, image] * weights[taps, filters] +
// bias[filters]); bias may be null. With a pool, output and winners (which may be null) are of pools, and the
// activation is linear or a rectifier.
struct Conv2dArgs {
  const float* input;
  const float* weights;
  const float* bias;
  float* output;
  int32_t* winners;
  size_t rows;
  Windows windows;
  size_t filters;
  Activation activation;
  float negative_slope;
  bool pool;
};

// d_weight_parts, d_bias_parts and d_input may be null; with winners, d_output is of pools.
struct Conv2dBackwardArgs {
  const float* input;
  const float* weights;
  const float* d_output;
  const int32_t* winners;
  float* d_weight_parts;
  float* d_bias_parts;
  float* d_input;
  size_t rows;
  Windows windows;
  size_t filters;
};

// output[layout] = the sum of parts[count, layout], row-major
struct SumPartsArgs {
  const float* parts;
  float* output;
  MatrixLayout layout;
  size_t count;
};

// Pooling of images, channels last. `winners` may be null forward; backward, what names no tap of its window inside the
// image is ignored.
struct MaxPool2dArgs {
  const float* input;
  float* output;
  int32_t* winners;
  Windows windows;
  size_t rows;
};

struct MaxPool2dBackwardArgs {
  const float* d_output;
  const int32_t* winners;
  float* d_input;
  Windows windows;
  size_t rows;
};

struct AveragePool2dArgs {
  const float* input;
  float* output;
  Windows windows;
  size_t rows;
};

struct AveragePool2dBackwardArgs {
  const float* d_output;
  float* d_input;
  Windows windows;
  size_t rows;
};

// Row i is sample order[i] of the data, and draws as sample order[i] + first_index (modulo 2^32). An element is kept
// where the upper 24 bits of its random word are at least `threshold`. output may be input.
struct DropoutArgs {
  const float* input;
  float* output;
  const uint32_t* order;
  size_t rows, columns;
  uint32_t threshold;  // at most 2^24
  float scale;
  uint32_t seed_low, seed_high, purpose, epoch;
  bool by_parts;
  uint32_t first_index;
};

// output may be a or b.
struct AddArgs {
  const float* a;
  const float* b;
  float* output;
  size_t rows, columns;
  bool by_parts;
};

// What turns a channel's values into normalized, scaled and shifted ones; gamma and beta may be null.
struct Normalization {
  const float* mean;
  const float* variance;
  const float* gamma;
  const float* beta;
  size_t channels;
  float epsilon;
};

// In the batches below a sample's row is [positions, channels].

// parts[part] = the channels' means and then their sums of squared deviations, over the part's samples.
struct ChannelMomentsArgs {
  const float* input;
  float* parts;
  size_t rows, positions, channels;
};

// The first part of the slice does it all.
struct BatchNormStatisticsArgs {
  const float* parts;
  float* mean;
  float* variance;
  float* moving_mean;
  float* moving_variance;
  size_t rows, positions, channels;
  float momentum, one_minus_momentum;
};

struct BatchNormArgs {
  const float* input;
  float* output;
  Normalization normalization;
  size_t rows, positions;
};

// d_gamma_parts, d_beta_parts: [parts, channels].
struct BatchNormSumsArgs {
  const float* input;
  const float* d_output;
  float* d_gamma_parts;
  float* d_beta_parts;
  Normalization normalization;
  size_t rows, positions;
};

// d_input may be d_output.
struct BatchNormBackwardArgs {
  const float* input;
  const float* d_output;
  const float* d_gamma;
  const float* d_beta;
  float* d_input;
  Normalization normalization;
  size_t rows, positions;
};

// Columns are channels. `layout` is that of both weights; bias may be null.
struct FoldBatchNormArgs {
  const float* weights;
  const float* bias;
  float* folded_weights;
  float* folded_bias;
  MatrixLayout layout;
  Normalization normalization;
};

// gradient += two_l2 * parameter + l1 * sign(parameter); `layout` is that of both.
struct RegularizeArgs {
  const float* parameter;
  float* gradient;
  MatrixLayout layout;
  float l1, two_l2;
};

struct MaxNormArgs {
  float* parameter;
  MatrixLayout layout;
  float max_value;
};

struct ClipByValueArgs {
  float* gradient;
  MatrixLayout layout;
  float limit;
};

// output[columns]: the sum of squares of each column; `layout` is the gradient's.
struct ColumnSquaresArgs {
  const float* gradient;
  float* output;
  MatrixLayout layout;
};

// total[1] += squares[count], or = where it is the first; the first part of the slice does it all.
struct AddSquaresArgs {
  const float* squares;
  float* total;
  size_t count;
  bool first;
};

struct ClipByGlobalNormArgs {
  float* gradient;
  const float* total;
  MatrixLayout layout;
  float max_norm;
};

// `layout` is that of both.
struct AverageArgs {
  const float* parameter;
  float* average;
  MatrixLayout layout;
  float rate;
};

// Images [height, width, channels]; row i draws as sample order[i] + first_index. output is not input. The fields are
// those of AugmentOp in src/program/ops.ts, in range.
struct AugmentArgs {
  const float* input;
  float* output;
  const uint32_t* order;
  size_t rows, height, width, channels;
  size_t shift;
  float radians, scale, aspect, shear;
  float alpha;
  size_t spacing;
  uint32_t erase_threshold;  // of a word's upper 24 bits, at most 2^24
  size_t erase_size;
  uint32_t seed_low, seed_high, purpose, epoch;
  uint32_t first_index;
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
  void (*cross_entropy)(const CrossEntropyArgs&, Slice);
  void (*binary_cross_entropy)(const BinaryCrossEntropyArgs&, Slice);
  void (*mean_squared_error)(const RegressionArgs&, Slice);
  void (*mean_absolute_error)(const RegressionArgs&, Slice);
  void (*huber)(const RegressionArgs&, Slice);
  void (*sgd)(const SgdArgs&, Slice);
  void (*adam)(const AdamArgs&, Slice);
  void (*rmsprop)(const RmspropArgs&, Slice);
  void (*adagrad)(const AdagradArgs&, Slice);
  void (*lion)(const LionArgs&, Slice);
  void (*gather)(const GatherArgs&, Slice);
  void (*row_lists)(const RowListsArgs&);
  size_t (*non_zeros)(const uint8_t* bytes, const float* floats, size_t count);  // of one of them; the other is null
  void (*conv2d)(const Conv2dArgs&, Slice);
  void (*conv2d_backward)(const Conv2dBackwardArgs&, Slice);
  void (*sum_parts)(const SumPartsArgs&, Slice);
  double (*multiply_adds)(size_t rounds, float* sums);  // see peak-inl.h
  void (*max_pool2d)(const MaxPool2dArgs&, Slice);
  void (*max_pool2d_backward)(const MaxPool2dBackwardArgs&, Slice);
  void (*average_pool2d)(const AveragePool2dArgs&, Slice);
  void (*average_pool2d_backward)(const AveragePool2dBackwardArgs&, Slice);
  void (*dropout)(const DropoutArgs&, Slice);
  void (*add)(const AddArgs&, Slice);
  void (*channel_moments)(const ChannelMomentsArgs&, Slice);
  void (*batch_norm_statistics)(const BatchNormStatisticsArgs&, Slice);
  void (*batch_norm)(const BatchNormArgs&, Slice);
  void (*batch_norm_sums)(const BatchNormSumsArgs&, Slice);
  void (*batch_norm_backward)(const BatchNormBackwardArgs&, Slice);
  void (*fold_batch_norm)(const FoldBatchNormArgs&, Slice);
  void (*regularize)(const RegularizeArgs&, Slice);
  void (*max_norm)(const MaxNormArgs&, Slice);
  void (*clip_by_value)(const ClipByValueArgs&, Slice);
  void (*column_squares)(const ColumnSquaresArgs&, Slice);
  void (*add_squares)(const AddSquaresArgs&, Slice);
  void (*clip_by_global_norm)(const ClipByGlobalNormArgs&, Slice);
  void (*average)(const AverageArgs&, Slice);
  void (*augment)(const AugmentArgs&, Slice);
};

// The floats of scratch memory that a part needs for matrix products of this depth: one panel of b, or of a block of
// its depth when it is deeper.
constexpr size_t scratch_floats(size_t depth) { return (depth < kPanelDepth ? depth : kPanelDepth) * kPanelColumns; }

// The same for batch normalization: up to five patterns of its channels (see batch-norm-inl.h), each with the lanes of
// the widest vector more.
constexpr size_t kMostLanes = 16;
constexpr size_t batch_norm_scratch_floats(size_t channels) { return 5 * (channels + kMostLanes); }

// And for cross-entropy with weights or shares: the exponentials and the weighted shares of a row.
constexpr size_t cross_entropy_scratch_floats(size_t classes) { return 2 * classes; }

}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_KERNELS_H_
