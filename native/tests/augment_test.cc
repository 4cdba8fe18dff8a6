// Augmentation on every instruction set of this processor: what docs/numerics.md says, pixel by pixel, for any number
// of parts, and nothing is written outside the output and the scratch memory that the engine gives.
#include <algorithm>

#include "../kernels/augment_sizes.h"
#include "kernels_check.h"

namespace mnist_train {
namespace test {
namespace {

constexpr size_t kEraseWord = 6;

// One sample, by the formulas of the page.
class Reference {
 public:
  Reference(const AugmentArgs& args, const float* image, uint32_t sample)
      : args_(args), image_(image), sample_(sample) {
    const float angle = v(2) * args.radians, z = angle * angle;
    const float sine = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * angle + angle;
    const float fourth = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z;
    const float cosine = (fourth * z - 0.5f * z) + 1.0f;
    const float shear = v(5) * args.shear;
    const float high = 1.0f + v(3) * args.scale, wide = high * (1.0f + v(4) * args.aspect);
    yy_ = cosine / high;
    yx_ = sine / high;
    xy_ = (-sine - shear * cosine) / wide;
    xx_ = (cosine - shear * sine) / wide;
    down_ = static_cast<long>(below(0, 2 * args.shift + 1)) - static_cast<long>(args.shift);
    right_ = static_cast<long>(below(1, 2 * args.shift + 1)) - static_cast<long>(args.shift);
  }

  float at(size_t y, size_t x, size_t channel) const {
    if (erases(y, x)) return 0;
    const AugmentArgs& a = args_;
    if (a.radians == 0 && a.scale == 0 && a.aspect == 0 && a.shear == 0 && a.alpha == 0) {
      return pixel(static_cast<long>(y) - down_, static_cast<long>(x) - right_, channel);
    }
    const float centre_y = static_cast<float>(a.height - 1) / 2, centre_x = static_cast<float>(a.width - 1) / 2;
    const float py = static_cast<float>(y) - centre_y, px = static_cast<float>(x) - centre_x;
    float source_y = (yx_ * px + yy_ * py) + (centre_y - static_cast<float>(down_));
    float source_x = (xx_ * px + xy_ * py) + (centre_x - static_cast<float>(right_));
    if (a.alpha > 0) {
      source_y = source_y + displacement(0, y, x);
      source_x = source_x + displacement(1, y, x);
    }
    source_y = std::min(std::max(source_y, -1.0f), static_cast<float>(a.height));
    source_x = std::min(std::max(source_x, -1.0f), static_cast<float>(a.width));
    const float y0 = floorf(source_y), x0 = floorf(source_x);
    const auto between = [](float from, float to, float part) { return from + part * (to - from); };
    const auto row = [&](long r) {
      const long column = static_cast<long>(x0);
      return between(pixel(r, column, channel), pixel(r, column + 1, channel), source_x - x0);
    };
    return between(row(static_cast<long>(y0)), row(static_cast<long>(y0) + 1), source_y - y0);
  }

 private:
  uint32_t k(size_t word) const {
    const uint32_t block = static_cast<uint32_t>(word / 4);
    return philox({{block, sample_, args_.purpose, args_.epoch}}, args_.seed_low, args_.seed_high).x[word % 4] >> 8;
  }
  size_t below(size_t word, size_t n) const { return static_cast<size_t>((uint64_t{k(word)} * n) >> 24); }
  float v(size_t word) const { return static_cast<float>(k(word)) / 8388608.0f - 1.0f; }

  float pixel(long y, long x, size_t channel) const {
    const bool inside = y >= 0 && x >= 0 && y < static_cast<long>(args_.height) && x < static_cast<long>(args_.width);
    if (!inside) return 0;
    return image_[(static_cast<size_t>(y) * args_.width + static_cast<size_t>(x)) * args_.channels + channel];
  }

  bool erases(size_t y, size_t x) const {
    if (k(kEraseWord) >= args_.erase_threshold) return false;
    const size_t height = 1 + below(7, args_.erase_size), width = 1 + below(8, args_.erase_size);
    const size_t top = below(9, args_.height - height + 1), left = below(10, args_.width - width + 1);
    return y >= top && y < top + height && x >= left && x < left + width;
  }

  float weight(size_t place, size_t node) const {
    const float t = static_cast<float>(place % args_.spacing) / static_cast<float>(args_.spacing), u = 1.0f - t;
    if (node == 0) return ((u * u) * u) * (1.0f / 6.0f);
    if (node == 3) return ((t * t) * t) * (1.0f / 6.0f);
    const float from = node == 1 ? t : u;
    return (2.0f / 3.0f) + (0.5f * from - 1.0f) * (from * from);
  }

  float displacement(size_t side, size_t y, size_t x) const {
    const size_t rows = (args_.height - 1) / args_.spacing + 4, columns = (args_.width - 1) / args_.spacing + 4;
    float sum = 0;
    for (size_t j = 0; j < 4; j++) {
      float across = 0;
      for (size_t i = 0; i < 4; i++) {
        const size_t node = (side * rows + y / args_.spacing + j) * columns + x / args_.spacing + i;
        across = across + weight(x, i) * (v(16 + node) * args_.alpha);
      }
      sum = sum + weight(y, j) * across;
    }
    return sum;
  }

  const AugmentArgs& args_;
  const float* image_;
  uint32_t sample_;
  float yy_, yx_, xy_, xx_;
  long down_, right_;
};

void check_augment(const KernelTable& kernels, AugmentArgs args, const char* what) {
  Numbers numbers(static_cast<uint32_t>(args.rows * 31 + args.width));
  const size_t pixels = args.height * args.width, size = pixels * args.channels;
  const std::vector<float> x = numbers.vector(args.rows * size);
  std::vector<uint32_t> order(args.rows);
  for (size_t i = 0; i < args.rows; i++) order[i] = static_cast<uint32_t>(i * 2654435761u);
  args.input = x.data();
  args.order = order.data();
  std::vector<float> wanted = output_of(args.rows * size);
  for (size_t i = 0; i < args.rows; i++) {
    const Reference reference(args, x.data() + i * size, order[i] + args.first_index);
    for (size_t e = 0; e < size; e++) {
      const size_t place = e / args.channels;
      wanted[i * size + e] = reference.at(place / args.width, place % args.width, e % args.channels);
    }
  }
  const size_t scratch_size = AugmentSizes(args.height, args.width, args.channels, args.spacing).floats;
  for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}}) {
    std::vector<float> y = output_of(args.rows * size), scratch = output_of(scratch_size);
    args.output = y.data();
    for (size_t part = 0; part < parts; part++) {
      std::fill(scratch.begin(), scratch.end() - 16, NAN);
      kernels.augment(args, {part, parts, scratch.data()});
    }
    const std::string name = name_of(kernels, what, args.height, args.width, args.channels, parts);
    CHECK_MESSAGE(same_numbers(y, wanted), name);
    CHECK_MESSAGE(sentinels_intact(scratch), name + " scratch");
  }
}

void test_augment(const KernelTable& kernels) {
  const size_t shapes[][4] = {{1, 1, 1, 1},   {3, 5, 7, 1},  {17, 4, 3, 2},
                              {2, 16, 17, 1}, {2, 9, 33, 3}, {20, 12, 16, 1}};
  for (const auto& shape : shapes) {
    AugmentArgs args = {};
    args.rows = shape[0];
    args.height = shape[1];
    args.width = shape[2];
    args.channels = shape[3];
    args.spacing = 2;
    args.erase_size = 1;
    args.seed_low = 0xfedcba98u;
    args.seed_high = 0x1fffff;
    args.purpose = 5;
    args.epoch = 17;
    args.first_index = 0xf0000001u;
    check_augment(kernels, args, "copy");
    args.shift = 8;
    check_augment(kernels, args, "shift");
    args.erase_threshold = 1 << 23;
    check_augment(kernels, args, "shift and erasing");
    args.radians = 0.785f;
    args.scale = args.aspect = 0.5f;
    args.shear = 0.2f;
    check_augment(kernels, args, "affine");
    for (const size_t spacing : {size_t{2}, size_t{5}, size_t{64}}) {
      args.spacing = spacing;
      args.alpha = 3;
      check_augment(kernels, args, "affine and elastic");
    }
  }
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train;
  return test::on_all_targets("augment_test", [](const KernelTable& kernels) { test::test_augment(kernels); });
}
