// Augmentation of training images.
#include <math.h>

#include "../kernels/augment_sizes.h"
#include "windows.h"

namespace mnist_train {
namespace {

// augment: input -> output; the values in the order of OP_FIELDS in src/program/ops.ts, the last one a scalar's index

enum AugmentValue {
  kHeight,
  kWidth,
  kChannels,
  kShift,
  kRotation,
  kScale,
  kAspect,
  kShear,
  kElasticAlpha,
  kElasticSpacing,
  kEraseProbability,
  kEraseSize,
  kSeedLow,
  kSeedHigh,
  kEpoch
};

// AUGMENT_LIMITS of src/program/ops.ts.
constexpr double kMostShift = 8, kMostRotation = 45, kMostFactor = 0.5, kMostAlpha = 16;
constexpr double kLeastSpacing = 2, kMostSpacing = 64;
// RandomPurpose.augment of src/random.ts.
constexpr uint32_t kAugmentPurpose = 5;
constexpr double kProbabilityUnit = 1 << 24;
constexpr double kRadians = 0.017453292519943295;

// Places in an image with a border are counted in float32, which is exact up to kMostPixels.
bool is_augmentable(double height, double width, double channels) {
  constexpr double kLargestDimension = 1 << 20, kMostPixels = 1 << 24;
  return is_whole(height, 1, kLargestDimension) && is_whole(width, 1, kLargestDimension) &&
         is_whole(channels, 1, kLargestDimension) && (height + 2) * (width + 3) <= kMostPixels;
}

// NaN is in no range.
bool is_within(double value, double most) { return value >= 0 && value <= most; }

size_t size_value(const Op& op, AugmentValue value) { return static_cast<size_t>(op.values[value]); }
float float_value(const Op& op, AugmentValue value) { return static_cast<float>(op.values[value]); }

const char* check_augment(const Program& program, const Op& op) {
  const double* v = op.values;
  if (!is_augmentable(v[kHeight], v[kWidth], v[kChannels])) return "bad size of images";
  const Buffer& input = buffer_of(program, op, 0);
  const Buffer& output = buffer_of(program, op, 1);
  const bool images = is_image_batch(input, size_value(op, kHeight), size_value(op, kWidth), size_value(op, kChannels));
  if (!images || !same_shape(input, output)) return "shapes of input and output";
  if (op.buffers[0] == op.buffers[1]) return "the output must not be the input";
  if (!is_whole(v[kShift], 0, kMostShift)) return "bad shift";
  if (!is_within(v[kRotation], kMostRotation)) return "bad rotation";
  if (!is_within(v[kScale], kMostFactor) || !is_within(v[kAspect], kMostFactor) || !is_within(v[kShear], kMostFactor)) {
    return "bad factor";
  }
  if (!is_within(v[kElasticAlpha], kMostAlpha)) return "bad alpha";
  if (!is_whole(v[kElasticSpacing], kLeastSpacing, kMostSpacing)) return "bad spacing";
  if (!is_within(v[kEraseProbability], 1)) return "bad probability";
  if (!is_whole(v[kEraseSize], 1, v[kHeight] < v[kWidth] ? v[kHeight] : v[kWidth])) return "bad size to erase";
  if (!is_whole(v[kSeedLow], 0, kMostWord) || !is_whole(v[kSeedHigh], 0, kMostWord)) return "bad seed";
  return check_scalar(program, v[kEpoch]);
}

void run_augment(const StepContext& c, const Op& op, Slice slice) {
  AugmentArgs args;
  args.input = c.pointer<float>(op.buffers[0]);
  args.output = c.pointer<float>(op.buffers[1]);
  args.order = c.order;
  args.first_index = c.first_index;
  args.rows = c.rows;
  args.height = size_value(op, kHeight);
  args.width = size_value(op, kWidth);
  args.channels = size_value(op, kChannels);
  args.shift = size_value(op, kShift);
  args.radians = static_cast<float>(op.values[kRotation] * kRadians);
  args.scale = float_value(op, kScale);
  args.aspect = float_value(op, kAspect);
  args.shear = float_value(op, kShear);
  args.alpha = float_value(op, kElasticAlpha);
  args.spacing = size_value(op, kElasticSpacing);
  args.erase_threshold = static_cast<uint32_t>(round(op.values[kEraseProbability] * kProbabilityUnit));
  args.erase_size = size_value(op, kEraseSize);
  args.seed_low = static_cast<uint32_t>(op.values[kSeedLow]);
  args.seed_high = static_cast<uint32_t>(op.values[kSeedHigh]);
  args.purpose = kAugmentPurpose;
  args.epoch = epoch_of(c.scalars[size_value(op, kEpoch)]);
  c.kernels->augment(args, slice);
}

size_t scratch_augment(const Program&, const Op& op) {
  return AugmentSizes(size_value(op, kHeight), size_value(op, kWidth), size_value(op, kChannels),
                      size_value(op, kElasticSpacing))
      .floats;
}

const OpKind kKinds[] = {
    {"augment", "rwvvvvvvvvvvvvvvv", check_augment, run_augment, scratch_augment, true, -1, accesses_by_parts, true},
};

}  // namespace

const OpGroup kAugmentOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
