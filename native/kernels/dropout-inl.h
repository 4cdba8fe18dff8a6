// Dropout: which elements are kept follows from counter-based random numbers, Philox 4x32-10 (Salmon et al., SC 2011;
// src/random.ts has it for single blocks).
#ifndef MNIST_TRAIN_KERNELS_DROPOUT_INL_H_
#define MNIST_TRAIN_KERNELS_DROPOUT_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Blocks of four random words that are made at once: loops of so many turns become vectors of any width.
constexpr size_t kPhiloxBlocks = 16;
constexpr size_t kPhiloxWords = 4 * kPhiloxBlocks;

// Word j of block b is at words[j][b]. On entry these are the counters, on return the random words.
inline void philox(uint32_t (&words)[4][kPhiloxBlocks], uint32_t key_low, uint32_t key_high) {
  for (int round = 0; round < 10; round++) {
    for (size_t b = 0; b < kPhiloxBlocks; b++) {
      const uint64_t first = uint64_t{0xd2511f53u} * words[0][b], second = uint64_t{0xcd9e8d57u} * words[2][b];
      words[0][b] = static_cast<uint32_t>(second >> 32) ^ words[1][b] ^ key_low;
      words[1][b] = static_cast<uint32_t>(second);
      words[2][b] = static_cast<uint32_t>(first >> 32) ^ words[3][b] ^ key_high;
      words[3][b] = static_cast<uint32_t>(first);
    }
    key_low += 0x9e3779b9u;
    key_high += 0xbb67ae85u;
  }
}

// The upper 24 bits of the random words of a sample's elements from `element` on, a multiple of four, as floats.
inline void random_numbers(const DropoutArgs& args, uint32_t sample, size_t element, float (&numbers)[kPhiloxWords]) {
  uint32_t words[4][kPhiloxBlocks];
  for (size_t b = 0; b < kPhiloxBlocks; b++) {
    words[0][b] = static_cast<uint32_t>(element / 4 + b);
    words[1][b] = sample;
    words[2][b] = args.purpose;
    words[3][b] = args.epoch;
  }
  philox(words, args.seed_low, args.seed_high);
  float upper[4][kPhiloxBlocks];
  for (size_t j = 0; j < 4; j++) {
    for (size_t b = 0; b < kPhiloxBlocks; b++) upper[j][b] = static_cast<float>(static_cast<int32_t>(words[j][b] >> 8));
  }
  // The words of a block side by side.
  float even[2 * kLanes], odd[2 * kLanes];
  for (size_t b = 0; b < kPhiloxBlocks; b += kLanes) {
    store_pairs(even, load(upper[0] + b), load(upper[2] + b));
    store_pairs(odd, load(upper[1] + b), load(upper[3] + b));
    store_pairs(numbers + 4 * b, load(even), load(odd));
    store_pairs(numbers + 4 * b + 2 * kLanes, load(even + kLanes), load(odd + kLanes));
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
