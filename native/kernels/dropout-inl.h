// Dropout: which elements are kept follows from counter-based random numbers, Philox 4x32-10 (Salmon et al., SC 2011;
// src/random.ts has it for single blocks).
#ifndef MNIST_TRAIN_KERNELS_DROPOUT_INL_H_
#define MNIST_TRAIN_KERNELS_DROPOUT_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Blocks that are made at once, a few vectors of them so that their long chains of products overlap, and their words.
constexpr size_t kPhiloxVecs = 2;
constexpr size_t kPhiloxBlocks = kPhiloxVecs * kLanes;
constexpr size_t kPhiloxWords = 4 * kPhiloxBlocks;

// A block per lane; word j of it is in words[j].
struct PhiloxBlocks {
  Words words[4];

  MNIST_TRAIN_INLINE void round(Words key_low, Words key_high) {
    Words low0, high0, low1, high1;
    multiply_words(words[0], 0xd2511f53u, &low0, &high0);
    multiply_words(words[2], 0xcd9e8d57u, &low1, &high1);
    words[0] = exclusive_or(exclusive_or(high1, words[1]), key_low);
    words[1] = low1;
    words[2] = exclusive_or(exclusive_or(high0, words[3]), key_high);
    words[3] = low0;
  }
};

// The random numbers from which it follows whether a sample's elements from `element` on, a multiple of four, are kept:
// the upper 24 bits of their words.
inline void random_numbers(const DropoutArgs& args, uint32_t sample, size_t element, float* numbers) {
  PhiloxBlocks blocks[kPhiloxVecs];
  for (size_t v = 0; v < kPhiloxVecs; v++) {
    const uint32_t first = static_cast<uint32_t>(element / 4 + v * kLanes);
    blocks[v] = {{words_from(first), words_of(sample), words_of(args.purpose), words_of(args.epoch)}};
  }
  uint32_t key_low = args.seed_low, key_high = args.seed_high;
  for (int round = 0; round < 10; round++) {
    for (PhiloxBlocks& block : blocks) block.round(words_of(key_low), words_of(key_high));
    key_low += 0x9e3779b9u;
    key_high += 0xbb67ae85u;
  }
  for (const PhiloxBlocks& block : blocks) {
    // The words of a block side by side.
    const auto number = [&](size_t j) { return upper_24_bits(block.words[j]); };
    float even[2 * kLanes], odd[2 * kLanes];
    store_pairs(even, number(0), number(2));
    store_pairs(odd, number(1), number(3));
    store_pairs(numbers, load(even), load(odd));
    store_pairs(numbers + 2 * kLanes, load(even + kLanes), load(odd + kLanes));
    numbers += 4 * kLanes;
  }
}

void dropout(const DropoutArgs& args, Slice slice) {
  const Block block = share_batch(args.rows, args.columns, args.by_parts, slice);
  const Vec threshold = set1(static_cast<float>(args.threshold)), scale = set1(args.scale);
  float numbers[kPhiloxWords];
  for (size_t row = block.rows.begin; row < block.rows.end; row++) {
    const float* input = args.input + row * args.columns;
    float* output = args.output + row * args.columns;
    for (size_t column = block.columns.begin; column < block.columns.end; column += kPhiloxWords) {
      random_numbers(args, args.order[row], column, numbers);
      const size_t width = smaller(kPhiloxWords, block.columns.end - column);
      for (size_t j = 0; j < width; j += kLanes) {
        const size_t lanes = smaller(kLanes, width - j);
        const Vec x = mul(load_lanes(input + column + j, lanes), scale);
        store_lanes(output + column + j, zero_where(less(load(numbers + j), threshold), x), lanes);
      }
    }
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_DROPOUT_INL_H_
