// Convolution of images of one channel that are mostly zeros: digits, of whose pixels a fifth is not.
//
// Positions are taken in blocks of two rows of 2 or 4. The pixels under a block that are not zero are the bits of a
// word; each is multiplied by the weights that it meets in the block's windows. Side by side lie the filters of a
// block's columns, so that few filters fill a vector too: a pixel meets neighbouring taps there, which follow each
// other in weights whose rows are stored in reverse. Taps beyond a window are zeros in those, so every pixel takes the
// same steps. Where no pixel is set, and that is in two blocks of five, the sums are the bias.
#ifndef MNIST_TRAIN_KERNELS_CONV_SPARSE_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_SPARSE_INL_H_

#include <string.h>

#include "conv-inl.h"
#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Two rows of positions, complete: outputs are taken from here.
struct SumRows {
  float* values;
  size_t stride;  // from the upper row to the lower one
};

// Where a bit's pixel and the weights for it are, in floats: those of the upper row; the lower row's are a row before.
struct BlockTap {
  uint32_t pixel, weights;
};

// A block: sums of two rows from the bias on, `vecs` vectors of each.
struct SparseBlock {
  uint64_t bits;         // the pixels under it that are not zero
  const float* pixels;   // the first of them
  const BlockTap* taps;  // of each bit
  const float* weights;
  size_t weights_row;
  const float* bias;
  SumRows sums;
};

template <int kVecs>
void sparse_block(const SparseBlock& b) {
  Vec upper[kVecs], lower[kVecs];
  for (int v = 0; v < kVecs; v++) upper[v] = lower[v] = load(b.bias + v * kLanes);
  for (uint64_t bits = b.bits; bits != 0; bits &= bits - 1) {
    const BlockTap tap = b.taps[trailing_zeros(bits)];
    const Vec pixel = set1(b.pixels[tap.pixel]);
    const float* const w = b.weights + tap.weights;
    for (int v = 0; v < kVecs; v++) upper[v] = fma(pixel, load(w + v * kLanes), upper[v]);
    for (int v = 0; v < kVecs; v++) lower[v] = fma(pixel, load(w - b.weights_row + v * kLanes), lower[v]);
  }
  for (int v = 0; v < kVecs; v++) store(b.sums.values + v * kLanes, upper[v]);
  for (int v = 0; v < kVecs; v++) store(b.sums.values + b.sums.stride + v * kLanes, lower[v]);
}

using SparseBlockFunction = void (*)(const SparseBlock&);

template <int kVecs>
SparseBlockFunction sparse_block_of_width(size_t vecs) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return sparse_block_of_width<kVecs - 1>(vecs);
  }
  return sparse_block<kVecs>;
}

constexpr size_t kBlockVecs = kConvAccumulators / 2 < 8 ? kConvAccumulators / 2 : 8;

// A row of pixels is a word, and a block has two columns or more.
constexpr size_t kMostBlocks = 32;

class SparseConvolution {
 public:
  SparseConvolution(const Conv2dArgs& args, Scratch* scratch)
      : args_(args),
        sizes_(args.windows, args.filters),
        image_(scratch->take(sizes_.image)),
        row_bits_(reinterpret_cast<uint64_t*>(scratch->take(2 * sizes_.shape.height))),
        weights_(scratch->take(sizes_.weights)),
        bias_(scratch->take(sizes_.bias)),
        sums_{scratch->take(2 * sizes_.sums_row), sizes_.sums_row} {
    memset(image_, 0, sizes_.image * sizeof(float));
    reverse_weights();
    number_taps();
    weigh_up();
    memset(bias_, 0, sizes_.bias * sizeof(float));
    for (size_t i = 0; i < sizes_.block * args.filters; i++)
      bias_[i] = args.bias ? args.bias[i % args.filters] + 0.0f : 0.0f;
  }

  // Takes an image in; false when it has so many pixels that a full product is faster.
  bool take(size_t sample) {
    const Windows& w = args_.windows;
    const PaddedShape& shape = sizes_.shape;
    copy_into(shape, args_.input + sample * w.input_height * w.input_width, image_);
    size_t pixels = 0;
    for (size_t y = 0; y < shape.height; y++) {
      uint64_t bits = 0;
      for (size_t x = 0; x < shape.width; x += kLanes) {
        const size_t lanes = smaller(kLanes, shape.width - x);
        const Mask mask = not_equal(load_lanes(image_ + y * shape.width + x, lanes), zero());
        bits |= static_cast<uint64_t>(lane_bits(mask)) << x;
        pixels += count(mask);
      }
      row_bits_[y] = bits;
    }
    return pixels * pixel_work_ + block_work_ < full_work_;
  }

  // All positions of the image, or pools.
  void convolve(const ConvOutput& output) {
    const Windows& w = args_.windows;
    const size_t rows = args_.pool ? w.output_height / 2 : (w.output_height + 1) / 2;
    for (size_t y = 0; y < rows; y++) {
      sum_blocks(y);
      if (output.pool) {
        store_pools(y, w.output_width / 2, output);
      } else {
        store_positions(2 * y, output.values);
      }
    }
  }

 private:
  // [ky + 1][slot][filters]; tap kx is in slot kernel_width + block - 2 - kx, between slots of zeros.
  void reverse_weights() {
    const Windows& w = args_.windows;
    memset(weights_, 0, sizes_.weights * sizeof(float));
    for (size_t ky = 0; ky < w.kernel_height; ky++) {
      for (size_t kx = 0; kx < w.kernel_width; kx++) {
        memcpy(weights_ + (ky + 1) * sizes_.weights_row + (w.kernel_width + sizes_.block - 2 - kx) * args_.filters,
               args_.weights + (ky * w.kernel_width + kx) * args_.filters, args_.filters * sizeof(float));
      }
    }
  }

  // In multiply-adds of vectors. A block takes as long as some forty more: its bits must be found, and where they end
  // cannot be predicted.
  void weigh_up() {
    constexpr size_t kBlock = 40;
    const Windows& w = args_.windows;
    const size_t rows = (w.output_height + 1) / 2, columns = (w.output_width + sizes_.block - 1) / sizes_.block;
    const size_t vecs = (sizes_.block * args_.filters + kLanes - 1) / kLanes;
    const size_t blocks_of_pixel = (w.kernel_height + 1) * (w.kernel_width + sizes_.block - 1) / (2 * sizes_.block);
    pixel_work_ = blocks_of_pixel * 2 * vecs;
    block_work_ = rows * columns * kBlock;
    full_work_ = w.output_height * w.output_width * taps_of(w) * (whole_vectors(args_.filters) / kLanes);
  }

  void number_taps() {
    const Windows& w = args_.windows;
    const size_t width = w.kernel_width + sizes_.block - 1;
    for (size_t r = 0; r <= w.kernel_height; r++) {
      for (size_t c = 0; c < width; c++) {
        taps_[r * width + c] = {static_cast<uint32_t>(r * sizes_.shape.width + c),
                                static_cast<uint32_t>((r + 1) * sizes_.weights_row + (width - 1 - c) * args_.filters)};
      }
    }
  }

  void sum_blocks(size_t y) {
    const Windows& w = args_.windows;
    const size_t columns = sizes_.block, blocks = (w.output_width + columns - 1) / columns;
    const size_t vecs = (columns * args_.filters + kLanes - 1) / kLanes;
    uint64_t bits[kMostBlocks];
    find_bits(y, blocks, bits);
    for (size_t first = 0; first < vecs; first += kBlockVecs) {
      const SparseBlockFunction run = sparse_block_of_width<kBlockVecs>(smaller(kBlockVecs, vecs - first));
      SparseBlock block = {0,
                           image_ + 2 * y * sizes_.shape.width,
                           taps_,
                           weights_ + first * kLanes,
                           sizes_.weights_row,
                           bias_ + first * kLanes,
                           sums_};
      block.sums.values += first * kLanes;
      for (size_t i = 0; i < blocks; i++) {
        block.bits = bits[i];
        run(block);
        block.pixels += columns;
        block.sums.values += columns * args_.filters;
      }
    }
  }

  // The pixels under each block of a row of them. A row of pixels for all blocks, then the next: compilers vectorize
  // that.
  void find_bits(size_t y, size_t blocks, uint64_t (&bits)[kMostBlocks]) const {
    const size_t step = sizes_.block, width = args_.windows.kernel_width + step - 1;
    const uint64_t window = (uint64_t{1} << width) - 1;
    for (size_t i = 0; i < blocks; i++) bits[i] = 0;
    for (size_t r = 0; r <= args_.windows.kernel_height; r++) {
      const uint64_t row = row_bits_[2 * y + r];
      const size_t place = r * width;
      for (size_t i = 0; i < blocks; i++) bits[i] |= (row >> (i * step) & window) << place;
    }
  }

  void store_pools(size_t y, size_t columns, const ConvOutput& output) const {
    const size_t filters = args_.filters;
    for (size_t x = 0; x < columns; x++) {
      const float* const sums = sums_.values + 2 * x * filters;
      const size_t at = (y * columns + x) * filters;
      for (size_t f = 0; f < filters; f += kLanes) {
        const size_t lanes = smaller(kLanes, filters - f);
        Best best = {load(sums + f), zero()};
        best.meet(load(sums + filters + f), 1);
        best.meet(load(sums + sums_.stride + f), 2);
        best.meet(load(sums + sums_.stride + filters + f), 3);
        best.store_to(at + f, lanes, output.values, output.winners, output.relu);
      }
    }
  }

  void store_positions(size_t y, float* output) const {
    const size_t row = args_.windows.output_width * args_.filters;
    memcpy(output + y * row, sums_.values, row * sizeof(float));
    if (y + 1 == args_.windows.output_height) return;
    memcpy(output + (y + 1) * row, sums_.values + sums_.stride, row * sizeof(float));
  }

  const Conv2dArgs& args_;
  const SparseConvSizes sizes_;
  float* const image_;
  uint64_t* const row_bits_;
  float* const weights_;
  float* const bias_;
  const SumRows sums_;
  BlockTap taps_[64];
  size_t pixel_work_, block_work_, full_work_;
};

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_SPARSE_INL_H_
