// Counter-based random numbers, Philox 4x32-10 (Salmon et al., SC 2011), many blocks at a time; src/random.ts has it
// for single blocks.
#ifndef MNIST_TRAIN_KERNELS_PHILOX_INL_H_
#define MNIST_TRAIN_KERNELS_PHILOX_INL_H_

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

// What the random numbers of one sample depend on besides their place.
struct PhiloxStream {
  uint32_t sample, purpose, epoch, seed_low, seed_high;
};

// The upper 24 bits of the words from `word` on, a multiple of four: kPhiloxWords whole numbers.
inline void random_numbers(const PhiloxStream& stream, size_t word, float* numbers) {
  PhiloxBlocks blocks[kPhiloxVecs];
  for (size_t v = 0; v < kPhiloxVecs; v++) {
    const uint32_t first = static_cast<uint32_t>(word / 4 + v * kLanes);
    blocks[v] = {{words_from(first), words_of(stream.sample), words_of(stream.purpose), words_of(stream.epoch)}};
  }
  uint32_t key_low = stream.seed_low, key_high = stream.seed_high;
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

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_PHILOX_INL_H_
