// Batch normalization.
#include "op_fields.h"

namespace mnist_train {
namespace {

constexpr double kMostPositions = 1099511627776.0;  // 2^40

// Whether the buffer has so many numbers, one for each channel; an absent one does no harm.
bool is_per_channel(const Program& program, const Op& op, size_t field, size_t channels) {
  return absent(op, field) || is_vector(buffer_of(program, op, field), channels);
}

// Whether the buffer is a batch of [positions, channels].
bool has_channels(const Buffer& b, size_t channels) {
  return is_batch(b, b.columns) && channels > 0 && b.columns % channels == 0;
}

size_t channels_of(const Program& program, const Op& op, size_t field) {
  return buffer_of(program, op, field).elements();
}

// channelMoments: input -> parts; channels

const char* check_channel_moments(const Program& program, const Op& op) {
  const Buffer& input = buffer_of(program, op, 0);
  if (!is_whole(op.values[0], 1, static_cast<double>(input.columns))) return "bad number of channels";
  const size_t channels = static_cast<size_t>(op.values[0]);
  if (!has_channels(input, channels)) return "shape of the input";
  return is_parts(program, buffer_of(program, op, 1), 2 * channels) ? nullptr : "shape of the parts";
}

void run_channel_moments(const StepContext& c, const Op& op, Slice slice) {
  const size_t channels = static_cast<size_t>(op.values[0]);
  c.kernels->channel_moments({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.rows,
                              c.buffer(op.buffers[0]).columns / channels, channels},
                             slice);
}

// batchNormStatistics: parts -> mean, variance, movingMean, movingVariance; positions, momentum

const char* check_batch_norm_statistics(const Program& program, const Op& op) {
  const size_t channels = channels_of(program, op, 1);
  if (!is_parts(program, buffer_of(program, op, 0), 2 * channels)) return "shape of the parts";
  for (size_t field = 1; field < 5; field++) {
    if (!is_per_channel(program, op, field, channels)) return "shapes of mean and variance";
  }
  return is_whole(op.values[0], 1, kMostPositions) ? nullptr : "bad number of positions";
}

void run_batch_norm_statistics(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->batch_norm_statistics(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[2]),
       c.pointer<float>(op.buffers[3]), c.pointer<float>(op.buffers[4]), c.rows, static_cast<size_t>(op.values[0]),
       channels_of(*c.program, op, 1), static_cast<float>(op.values[1]), static_cast<float>(1.0 - op.values[1])},
      slice);
}

// What the four ops below share. In batches of input's shape, `mean` says how many channels there are.

constexpr int kNone = -1;

const char* check_normalization(const Program& program, const Op& op, size_t mean, int gamma, int beta) {
  const size_t channels = channels_of(program, op, mean);
  if (!is_per_channel(program, op, mean, channels)) return "shape of the mean";
  if (!is_per_channel(program, op, mean + 1, channels)) return "shape of the variance";
  if (gamma != kNone && !is_per_channel(program, op, static_cast<size_t>(gamma), channels)) return "shape of gamma";
  if (beta != kNone && !is_per_channel(program, op, static_cast<size_t>(beta), channels)) return "shape of beta";
  return nullptr;
}

Normalization normalization_of(const StepContext& c, const Op& op, size_t mean, int gamma, int beta) {
  const auto optional = [&](int field) -> const float* {
    return field == kNone ? nullptr : c.pointer<float>(op.buffers[field]);
  };
  return {c.pointer<float>(op.buffers[mean]), c.pointer<float>(op.buffers[mean + 1]), optional(gamma), optional(beta),
          channels_of(*c.program, op, mean),  static_cast<float>(op.values[0])};
}

size_t positions_of(const StepContext& c, const Op& op, size_t mean) {
  return c.buffer(op.buffers[0]).columns / channels_of(*c.program, op, mean);
}

size_t scratch_batch_norm(const Program& program, const Op& op) {
  return batch_norm_scratch_floats(channels_of(program, op, 1));
}

// batchNorm: input, mean, variance, gamma?, beta? -> output; epsilon

const char* check_batch_norm(const Program& program, const Op& op) {
  const Buffer& input = buffer_of(program, op, 0);
  if (!has_channels(input, channels_of(program, op, 1))) return "shape of the input";
  if (!same_shape(input, buffer_of(program, op, 5))) return "shape of the output";
  return check_normalization(program, op, 1, 3, 4);
}

void run_batch_norm(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->batch_norm({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[5]),
                         normalization_of(c, op, 1, 3, 4), c.rows, positions_of(c, op, 1)},
                        slice);
}

// batchNormSums: input, mean, variance, dOutput -> dGammaParts, dBetaParts; epsilon

const char* check_batch_norm_sums(const Program& program, const Op& op) {
  const Buffer& input = buffer_of(program, op, 0);
  const size_t channels = channels_of(program, op, 1);
  if (!has_channels(input, channels)) return "shape of the input";
  if (!same_shape(input, buffer_of(program, op, 3))) return "shape of dOutput";
  for (const size_t field : {size_t{4}, size_t{5}}) {
    if (!is_parts(program, buffer_of(program, op, field), channels)) return "shape of the parts";
  }
  return check_normalization(program, op, 1, kNone, kNone);
}

void run_batch_norm_sums(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->batch_norm_sums(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[3]), c.pointer<float>(op.buffers[4]),
       c.pointer<float>(op.buffers[5]), normalization_of(c, op, 1, kNone, kNone), c.rows, positions_of(c, op, 1)},
      slice);
}

// batchNormBackward: input, mean, variance, gamma?, dGamma, dBeta, dOutput -> dInput; epsilon

const char* check_batch_norm_backward(const Program& program, const Op& op) {
  const Buffer& input = buffer_of(program, op, 0);
  const size_t channels = channels_of(program, op, 1);
  if (!has_channels(input, channels)) return "shape of the input";
  if (!is_per_channel(program, op, 4, channels) || !is_per_channel(program, op, 5, channels)) {
    return "shapes of dGamma and dBeta";
  }
  if (!same_shape(input, buffer_of(program, op, 6))) return "shape of dOutput";
  if (!same_shape(input, buffer_of(program, op, 7))) return "shape of dInput";
  return check_normalization(program, op, 1, 3, kNone);
}

void run_batch_norm_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->batch_norm_backward(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[6]), c.pointer<float>(op.buffers[4]),
       c.pointer<float>(op.buffers[5]), c.pointer<float>(op.buffers[7]), normalization_of(c, op, 1, 3, kNone), c.rows,
       positions_of(c, op, 1)},
      slice);
}

// foldBatchNorm: weights, bias?, mean, variance, gamma?, beta? -> foldedWeights, foldedBias; epsilon

const char* check_fold_batch_norm(const Program& program, const Op& op) {
  const Buffer& weights = buffer_of(program, op, 0);
  const size_t channels = channels_of(program, op, 2);
  if (!is_matrix(weights, weights.rows, channels)) return "shape of the weights";
  if (!same_shape(weights, buffer_of(program, op, 6))) return "shape of foldedWeights";
  if (!is_per_channel(program, op, 1, channels)) return "shape of the bias";
  if (!is_per_channel(program, op, 7, channels)) return "shape of foldedBias";
  return check_normalization(program, op, 2, 4, 5);
}

void run_fold_batch_norm(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->fold_batch_norm(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), c.pointer<float>(op.buffers[6]),
       c.pointer<float>(op.buffers[7]), c.layout_of(op.buffers[0]), normalization_of(c, op, 2, 4, 5)},
      slice);
}

void accesses_fold_batch_norm(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  const Share share = matrix_share(buffer_of(program, op, 0).columns, team, Share::kWeightRows);
  touch(op, 0, share, false, list);
  for (size_t field = 1; field < 6; field++) touch(op, field, Share::kAll, false, list);
  touch(op, 6, share, true, list);
  touch(op, 7, Share::kColumns, true, list);
}

const OpKind kKinds[] = {
    {"channelMoments", "rwv", check_channel_moments, run_channel_moments, nullptr, false, -1, accesses_by_parts, true},
    {"batchNormStatistics", "rwwuuvv", check_batch_norm_statistics, run_batch_norm_statistics, nullptr, false, -1,
     nullptr},
    {"batchNorm", "rrrRRwv", check_batch_norm, run_batch_norm, scratch_batch_norm, false, -1, accesses_by_parts, true},
    {"batchNormSums", "rrrrwwv", check_batch_norm_sums, run_batch_norm_sums, nullptr, false, -1, accesses_by_parts,
     true},
    {"batchNormBackward", "rrrRrrrwv", check_batch_norm_backward, run_batch_norm_backward, scratch_batch_norm, false,
     -1, accesses_by_parts, true, false, false, "6"},
    {"foldBatchNorm", "rRrrRRwwv", check_fold_batch_norm, run_fold_batch_norm, nullptr, false, -1,
     accesses_fold_batch_norm},
};

}  // namespace

const OpGroup kBatchNormOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
