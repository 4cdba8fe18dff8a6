// Augmentation of images: moved, or looked up by bilinear interpolation where a matrix and a smooth field of
// displacements say, then partly erased. Every random number has a place of its own among the sample's words.
//
// An image of 28x28 takes about 2 µs on one core of an AMD Zen 4 for an affine change with a field (AVX-512; AVX2 2.4),
// 0.2 for a move by itself; the TypeScript kernel takes 53 and 2.
#ifndef MNIST_TRAIN_KERNELS_AUGMENT_INL_H_
#define MNIST_TRAIN_KERNELS_AUGMENT_INL_H_

#include <string.h>

#include "augment_sizes.h"
#include "kernels.h"
#include "lanes-inl.h"
#include "math-inl.h"
#include "philox-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

static_assert(kPhiloxWords <= kMostNumbersAtOnce, "random numbers have room");

enum AugmentWord {
  kShiftYWord,
  kShiftXWord,
  kRotationWord,
  kScaleWord,
  kAspectWord,
  kShearWord,
  kEraseWord,
  kEraseHeightWord,
  kEraseWidthWord,
  kEraseTopWord,
  kEraseLeftWord
};

// The random numbers of one sample: the upper 24 bits of its words.
struct AugmentDraws {
  const float* numbers;

  // A whole number in [0, bound).
  size_t below(AugmentWord word, size_t bound) const {
    return static_cast<size_t>((static_cast<uint64_t>(numbers[word]) * bound) >> 24);
  }
  // A number in [-1, 1), exactly.
  float signed_unit(AugmentWord word) const { return numbers[word] * (1.0f / 8388608.0f) - 1.0f; }
  ptrdiff_t shift(AugmentWord word, size_t most) const {
    return static_cast<ptrdiff_t>(below(word, 2 * most + 1)) - static_cast<ptrdiff_t>(most);
  }
};

// The copy of an image, moved: one stretch of memory, and then zeros where nothing comes from.
void shift_image(const AugmentArgs& args, const AugmentDraws& draws, const float* input, float* output) {
  const ptrdiff_t down = draws.shift(kShiftYWord, args.shift), right = draws.shift(kShiftXWord, args.shift);
  const size_t rows = static_cast<size_t>(down < 0 ? -down : down);
  const size_t columns = static_cast<size_t>(right < 0 ? -right : right);
  const size_t row = args.width * args.channels, gap = columns * args.channels;
  if (rows >= args.height || columns >= args.width) {
    memset(output, 0, args.height * row * sizeof(float));
    return;
  }
  const size_t kept = (args.height - rows) * row;
  const float* source = input + (down < 0 ? rows * row : 0);
  float* target = output + (down < 0 ? 0 : rows * row);
  memset(down < 0 ? output + kept : output, 0, rows * row * sizeof(float));
  memcpy(target + (right > 0 ? gap : 0), source + (right > 0 ? 0 : gap), (kept - gap) * sizeof(float));
  if (gap == 0) return;
  for (size_t y = 0; y < args.height - rows; y++) {
    memset(target + y * row + (right > 0 ? 0 : row - gap), 0, gap * sizeof(float));
  }
}

void erase_rectangle(const AugmentArgs& args, const AugmentDraws& draws, float* output) {
  const size_t height = 1 + draws.below(kEraseHeightWord, args.erase_size);
  const size_t width = 1 + draws.below(kEraseWidthWord, args.erase_size);
  const size_t top = draws.below(kEraseTopWord, args.height - height + 1);
  const size_t left = draws.below(kEraseLeftWord, args.width - width + 1);
  for (size_t y = top; y < top + height; y++) {
    memset(output + (y * args.width + left) * args.channels, 0, width * args.channels * sizeof(float));
  }
}

// The weights of the four nodes around a pixel: a uniform cubic B-spline.
inline void spline_weights(size_t place, size_t spacing, float* weights) {
  const auto outer = [](float t) { return ((t * t) * t) * (1.0f / 6.0f); };
  const auto inner = [](float t) { return (2.0f / 3.0f) + (0.5f * t - 1.0f) * (t * t); };
  const float t = static_cast<float>(place % spacing) / static_cast<float>(spacing), u = 1.0f - t;
  weights[0] = outer(u);
  weights[1] = inner(t);
  weights[2] = inner(u);
  weights[3] = outer(t);
}

// Where the pixels of a row are looked up: [0] in y, [1] in x.
struct Places {
  Vec at[2];
};

// The displacements of pixels: cubic B-splines over the nodes of a grid. They are made along x first, as products with
// weights that are zero for nodes further off: without any lookup.
class Field {
 public:
  Field(const AugmentArgs& args, const AugmentSizes& sizes, float* memory)
      : args_(args),
        sizes_(sizes),
        nodes_(memory + kFirstDisplacement),
        weights_y_(memory + sizes.weights_y),
        weights_x_(memory + sizes.weights_x),
        across_(memory + sizes.across) {}

  void make_weights() const {
    for (size_t y = 0; y < args_.height; y++) spline_weights(y, args_.spacing, weights_y_ + 4 * y);
    memset(weights_x_, 0, sizes_.terms * sizes_.stride * sizeof(float));
    for (size_t x = 0; x < args_.width; x++) {
      const size_t first = x / kLanes * kLanes;
      float* column = weights_x_ + first * sizes_.terms + (x - first);
      float weights[4];
      spline_weights(x, args_.spacing, weights);
      for (size_t k = 0; k < 4; k++) column[(x / args_.spacing - first / args_.spacing + k) * kLanes] = weights[k];
    }
  }

  // Takes the field of the sample whose random numbers are in memory.
  void draw() const {
    const size_t rows = 2 * sizes_.grid_rows;
    const Vec unit = set1(1.0f / 8388608.0f), one = set1(1.0f), alpha = set1(args_.alpha);
    for (size_t n = 0; n < sizes_.displacements(); n += kLanes) {
      store(nodes_ + n, mul(sub(mul(load(nodes_ + n), unit), one), alpha));
    }
    for (size_t x = 0; x < args_.width; x += kLanes) {
      const size_t node = x / args_.spacing, last = smaller(x + kLanes, args_.width) - 1;
      for (size_t row = 0; row < rows; row++) {
        const float* nodes = nodes_ + row * sizes_.grid_columns + node;
        store(across_ + row * sizes_.stride + x, sum(nodes, x, last / args_.spacing + 4 - node));
      }
    }
  }

  MNIST_TRAIN_INLINE void displace(size_t y, size_t x, Places* places) const {
    const float* weights = weights_y_ + 4 * y;
    for (size_t side = 0; side < 2; side++) {
      const float* nodes = across_ + (side * sizes_.grid_rows + y / args_.spacing) * sizes_.stride + x;
      Vec sum = mul(set1(weights[0]), load(nodes));
      for (size_t k = 1; k < 4; k++) sum = add(sum, mul(set1(weights[k]), load(nodes + k * sizes_.stride)));
      places->at[side] = add(places->at[side], sum);
    }
  }

 private:
  // Of so many nodes, for the pixels from x on.
  Vec sum(const float* nodes, size_t x, size_t terms) const {
    const float* weights = weights_x_ + x * sizes_.terms;
    Vec sum = zero();
    for (size_t t = 0; t < terms; t++) sum = add(sum, mul(load(weights + t * kLanes), set1(nodes[t])));
    return sum;
  }

  const AugmentArgs& args_;
  const AugmentSizes& sizes_;
  float* nodes_;      // [2, grid rows, grid columns]
  float* weights_y_;  // [height, 4]
  float* weights_x_;  // [vectors of pixels, terms, lanes]
  float* across_;     // [2, grid rows, stride]
};

// The way back from a pixel of the output to a place in the input, both counted from the centre.
struct Matrix {
  float yy, yx, xy, xx;
};

inline Matrix draw_matrix(const AugmentArgs& args, const AugmentDraws& draws) {
  const float angle = draws.signed_unit(kRotationWord) * args.radians;
  const float sine = sine_scalar(angle), cosine = cosine_scalar(angle);
  const float shear = draws.signed_unit(kShearWord) * args.shear;
  const float height = 1.0f + draws.signed_unit(kScaleWord) * args.scale;
  const float width = height * (1.0f + draws.signed_unit(kAspectWord) * args.aspect);
  return {cosine / height, sine / height, (-sine - shear * cosine) / width, (cosine - shear * sine) / width};
}

// An image with a border of zeros, each pixel together with the one below it: the four pixels around a place are then
// four floats side by side. [channels, height + 2, width + 3, 2]; place (-1, -1) comes first.
class Bordered {
 public:
  Bordered(const AugmentArgs& args, float* memory) : args_(args), stride_(args.width + 3), image_(memory) {}

  void fill(const float* input) const {
    float* row = image_;
    for (size_t c = 0; c < args_.channels; c++) {
      for (size_t y = 0; y < args_.height + 2; y++, row += 2 * stride_) {
        const float* above = y >= 1 && y <= args_.height ? input + (y - 1) * args_.width * args_.channels + c : nullptr;
        const float* below = y < args_.height ? input + y * args_.width * args_.channels + c : nullptr;
        row[0] = row[1] = 0;
        if (args_.channels == 1) {
          fill_row(above, below, row + 2);
        } else {
          fill_channel(above, below, row + 2);
        }
        memset(row + 2 * (args_.width + 1), 0, 4 * sizeof(float));
      }
    }
  }

  // A channel's values at places between pixels, by lanes.
  MNIST_TRAIN_INLINE Vec sample(size_t channel, const Places& places) const {
    Vec down, right;
    const Vec y = whole_part(places.at[0], args_.height, &down), x = whole_part(places.at[1], args_.width, &right);
    const Vec stride = set1(static_cast<float>(stride_));
    float pixels[kLanes];
    store(pixels, add(mul(y, stride), add(x, add(stride, set1(1.0f)))));
    const float* image = image_ + 2 * channel * (args_.height + 2) * stride_;
    const float* around[kLanes];
    for (size_t lane = 0; lane < kLanes; lane++) {
      around[lane] = image + 2 * static_cast<size_t>(static_cast<int32_t>(pixels[lane]));
    }
    // Left with what is below it, then right.
    Vec corners[4];
    for (size_t i = 0; i < 4; i++) corners[i] = load_quads(around + i, 0);
    transpose_quads(corners);
    const Vec top = add(corners[0], mul(right, sub(corners[2], corners[0])));
    const Vec bottom = add(corners[1], mul(right, sub(corners[3], corners[1])));
    return add(top, mul(down, sub(bottom, top)));
  }

 private:
  // The zeros behind a row are overwritten by the next one.
  void fill_row(const float* above, const float* below, float* row) const {
    for (size_t x = 0; x < args_.width; x += kLanes) {
      const size_t lanes = smaller(kLanes, args_.width - x);
      const Vec top = above ? load_lanes(above + x, lanes) : zero();
      store_pairs(row + 2 * x, top, below ? load_lanes(below + x, lanes) : zero());
    }
  }

  void fill_channel(const float* above, const float* below, float* row) const {
    for (size_t x = 0; x < args_.width; x++) {
      row[2 * x] = above ? above[x * args_.channels] : 0;
      row[2 * x + 1] = below ? below[x * args_.channels] : 0;
    }
  }

  // The whole number at or before a place, which is kept within the border first.
  static MNIST_TRAIN_INLINE Vec whole_part(Vec place, size_t size, Vec* fraction) {
    const Vec end = set1(static_cast<float>(size)), one = set1(1.0f);
    const Vec rounding = set1(12582912.0f);  // 1.5 * 2^23
    place = max(place, set1(-1.0f));
    place = select(less(place, end), place, end);
    const Vec nearest = sub(add(place, rounding), rounding);
    const Vec whole = sub(nearest, zero_where(less_equal(nearest, place), one));
    *fraction = sub(place, whole);
    return whole;
  }

  const AugmentArgs& args_;
  size_t stride_;
  float* image_;
};

// output = the pixels of `image` at the places that the matrix and, where there is one, the field say.
template <bool kElastic>
void warp_image(const AugmentArgs& args, const AugmentDraws& draws, const Bordered& image, const Field* field,
                float* output) {
  const Matrix m = draw_matrix(args, draws);
  const float centre_y = static_cast<float>(args.height - 1) * 0.5f;
  const float centre_x = static_cast<float>(args.width - 1) * 0.5f;
  const Vec origin_y = set1(centre_y - static_cast<float>(draws.shift(kShiftYWord, args.shift)));
  const Vec origin_x = set1(centre_x - static_cast<float>(draws.shift(kShiftXWord, args.shift)));
  for (size_t y = 0; y < args.height; y++) {
    const float from_centre = static_cast<float>(y) - centre_y;
    const Vec row_y = set1(m.yy * from_centre), row_x = set1(m.xy * from_centre);
    for (size_t x = 0; x < args.width; x += kLanes) {
      const Vec column = sub(numbers_of(words_from(static_cast<uint32_t>(x))), set1(centre_x));
      Places places = {
          {add(add(mul(set1(m.yx), column), row_y), origin_y), add(add(mul(set1(m.xx), column), row_x), origin_x)}};
      if (kElastic) field->displace(y, x, &places);
      const size_t lanes = smaller(kLanes, args.width - x);
      float* pixels = output + (y * args.width + x) * args.channels;
      for (size_t c = 0; c < args.channels; c++) {
        const Vec values = image.sample(c, places);
        if (args.channels == 1) {
          store_lanes(pixels, values, lanes);
          continue;
        }
        float made[kLanes];
        store(made, values);
        for (size_t lane = 0; lane < lanes; lane++) pixels[lane * args.channels + c] = made[lane];
      }
    }
  }
}

void augment(const AugmentArgs& args, Slice slice) {
  const Range rows = share_samples(args.rows, slice);
  const AugmentSizes sizes(args.height, args.width, args.channels, args.spacing);
  const bool elastic = args.alpha > 0;
  const bool warped = args.radians > 0 || args.scale > 0 || args.aspect > 0 || args.shear > 0 || elastic;
  float* numbers = slice.scratch;
  const size_t words = kFirstDisplacement + (elastic ? sizes.displacements() : 0);
  const AugmentDraws draws = {numbers};
  const Bordered image(args, slice.scratch + sizes.image);
  const Field field(args, sizes, slice.scratch);
  if (elastic) field.make_weights();
  for (size_t row = rows.begin; row < rows.end; row++) {
    const size_t begin = row * args.height * args.width * args.channels;
    float* output = args.output + begin;
    const PhiloxStream stream = {args.order[row] + args.first_index, args.purpose, args.epoch, args.seed_low,
                                 args.seed_high};
    for (size_t word = 0; word < words; word += kPhiloxWords) random_numbers(stream, word, numbers + word);
    if (warped) image.fill(args.input + begin);
    if (elastic) {
      field.draw();
      warp_image<true>(args, draws, image, &field, output);
    } else if (warped) {
      warp_image<false>(args, draws, image, nullptr, output);
    } else {
      shift_image(args, draws, args.input + begin, output);
    }
    if (numbers[kEraseWord] < static_cast<float>(args.erase_threshold)) erase_rectangle(args, draws, output);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_AUGMENT_INL_H_
