// Products whose left factor is mostly zeros: images, activations behind ReLU. A batch is held as two sets of lists,
// the non-zeros of every row and those of every column. A term that is left out adds zero, so the chains keep their
// bits.
//
// Four fifths of MNIST's pixels are zero. On a Zen 4 core the products of 784-128-10 at batch 128 take 69 µs (forward)
// and 82 µs (gradient) this way, 222 and 230 in full. The bound is loading: one vector of the right factor per
// multiply-add.
#ifndef MNIST_TRAIN_KERNELS_SPARSE_INL_H_
#define MNIST_TRAIN_KERNELS_SPARSE_INL_H_

#include "kernels.h"
#include "partition-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Appends the non-zeros of `x`, whose first lane is column `column`, to a list; returns the new end.
inline NonZero* append_non_zeros(Vec x, size_t column, NonZero* end) {
  const Mask mask = not_equal(x, zero());
  store_pairs(reinterpret_cast<float*>(end), compress(index_bits(static_cast<uint32_t>(column)), mask),
              compress(x, mask));
  return end + count(mask);
}

// The list of one row. `load_columns(column, lanes)` gives the values.
template <class LoadColumns>
inline void list_row(SparseBatch& batch, size_t row, LoadColumns load_columns) {
  NonZero* const begin = batch.by_row + row * batch.row_stride;
  NonZero* end = begin;
  uint32_t* const chunk_starts = batch.chunk_starts + row * (batch.chunks + 1);
  for (size_t chunk = 0; chunk < batch.chunks; chunk++) {
    chunk_starts[chunk] = static_cast<uint32_t>(end - begin);
    const size_t stop = smaller((chunk + 1) * kGrain, batch.columns);
    for (size_t column = chunk * kGrain; column < stop; column += kLanes) {
      end = append_non_zeros(load_columns(column, smaller(kLanes, stop - column)), column, end);
    }
  }
  chunk_starts[batch.chunks] = static_cast<uint32_t>(end - begin);
}

// Lists of columns from lists of rows; each part makes those of its own columns.
void column_lists(const ColumnListsArgs& args, Slice slice) {
  SparseBatch& batch = *args.sparse;
  if (!batch.active) return;
  const Range columns = share(batch.columns, kGrain, slice);
  for (size_t column = columns.begin; column < columns.end; column++) batch.column_ends[column] = batch.column(column);
  const size_t first_chunk = columns.begin / kGrain, last_chunk = (columns.end + kGrain - 1) / kGrain;
  for (size_t row = 0; row < args.rows; row++) {
    const uint32_t* chunk_starts = batch.chunk_starts + row * (batch.chunks + 1);
    const NonZero* list = batch.row(row);
    const NonZero* const end = list + chunk_starts[last_chunk];
    for (const NonZero* entry = list + chunk_starts[first_chunk]; entry < end; entry++) {
      *batch.column_ends[entry->index]++ = {static_cast<uint32_t>(row), entry->value};
    }
  }
}

// The columns that one pass of a sparse product computes.
struct ColumnBlock {
  const float* right;  // the right factor at the first column, rows of `stride` floats
  size_t stride;
  size_t tail;  // lanes of the last vector
};

template <int kVecs, bool kTail>
inline void multiply_entry(Vec (&acc)[kVecs], const NonZero& entry, const ColumnBlock& block) {
  const Vec factor = set1(entry.value);
  const float* p = block.right + entry.index * block.stride;
  for (int j = 0; j < kVecs; j++) {
    const Vec right = kTail && j == kVecs - 1 ? load_partial(p + j * kLanes, block.tail) : load(p + j * kLanes);
    acc[j] = fma(factor, right, acc[j]);
  }
}

template <int kVecs, bool kTail>
inline void store_columns(float* p, const Vec (&acc)[kVecs], size_t tail) {
  for (int j = 0; j < kVecs; j++) {
    if (kTail && j == kVecs - 1) {
      store_partial(p + j * kLanes, acc[j], tail);
    } else {
      store(p + j * kLanes, acc[j]);
    }
  }
}

// output[rows[0] ... rows[kRows - 1], block] = bias + left * right. The rows' lists run in lockstep as far as the
// shortest goes: that many independent chains hide the latency of the multiply-adds.
template <int kRows, int kVecs, bool kTail>
inline void multiply_rows(const SparseBatch& batch, const uint32_t* rows, const ColumnBlock& block, const float* bias,
                          float* output) {
  Vec acc[kRows][kVecs];
  for (int j = 0; j < kVecs; j++) {
    Vec start = zero();
    if (bias) {
      const float* p = bias + j * kLanes;
      start = add(kTail && j == kVecs - 1 ? load_partial(p, block.tail) : load(p), zero());
    }
    for (int i = 0; i < kRows; i++) acc[i][j] = start;
  }
  const NonZero* lists[kRows];
  size_t lengths[kRows];
  size_t shortest = static_cast<size_t>(-1);
  for (int i = 0; i < kRows; i++) {
    lists[i] = batch.row(rows[i]);
    lengths[i] = batch.row_length(rows[i]);
    shortest = smaller(shortest, lengths[i]);
  }
  for (size_t t = 0; t < shortest; t++) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++) multiply_entry<kVecs, kTail>(acc[i], lists[i][t], block);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++) {
    for (size_t t = shortest; t < lengths[i]; t++) multiply_entry<kVecs, kTail>(acc[i], lists[i][t], block);
    store_columns<kVecs, kTail>(output + rows[i] * block.stride, acc[i], block.tail);
  }
}

constexpr int kSparseVecs = 4;

// Calls work.run<vectors, ragged>(first column, width) for blocks of up to kSparseVecs vectors.
template <class Work>
inline void for_column_blocks(Range columns, const Work& work) {
  for (size_t column = columns.begin; column < columns.end; column += kSparseVecs * kLanes) {
    const size_t width = smaller(kSparseVecs * kLanes, columns.end - column);
    const size_t vecs = (width + kLanes - 1) / kLanes;
    const bool ragged = width % kLanes != 0;
    const size_t tail = width - (vecs - 1) * kLanes;
    switch (vecs * 2 + (ragged ? 1 : 0)) {
      case 2:
        work.template run<1, false>(column, tail);
        break;
      case 3:
        work.template run<1, true>(column, tail);
        break;
      case 4:
        work.template run<2, false>(column, tail);
        break;
      case 5:
        work.template run<2, true>(column, tail);
        break;
      case 6:
        work.template run<3, false>(column, tail);
        break;
      case 7:
        work.template run<3, true>(column, tail);
        break;
      case 8:
        work.template run<4, false>(column, tail);
        break;
      default:
        work.template run<4, true>(column, tail);
        break;
    }
  }
}

// Rows in the order of the lengths of their lists (counting sort): rows that go in lockstep then end together, which
// makes the forward pass 12 % faster.
class RowOrder {
 public:
  static constexpr size_t kMostRows = 128;

  RowOrder(const SparseBatch& batch, Range rows) : count_(rows.size()) {
    constexpr size_t kBuckets = 128;
    const size_t divisor = batch.columns / kBuckets + 1;
    uint32_t ends[kBuckets + 1] = {0};
    for (size_t row = rows.begin; row < rows.end; row++) ends[batch.row_length(row) / divisor + 1]++;
    for (size_t i = 1; i <= kBuckets; i++) ends[i] += ends[i - 1];
    for (size_t row = rows.begin; row < rows.end; row++) {
      rows_[ends[batch.row_length(row) / divisor]++] = static_cast<uint32_t>(row);
    }
  }
  size_t size() const { return count_; }
  const uint32_t* from(size_t place) const { return rows_ + place; }

 private:
  size_t count_;
  uint32_t rows_[kMostRows];
};

// output[rows, units] = bias + input * weights, over the rows of `order` and a block of columns.
struct SparseForward {
  const DenseArgs& args;
  const RowOrder& order;

  template <int kVecs, bool kTail>
  void run(size_t column, size_t tail) const {
    const ColumnBlock block = {args.weights + column, args.units, tail};
    const float* bias = args.bias ? args.bias + column : nullptr;
    float* output = args.output + column;
    size_t i = 0;
    for (; i + kSparseRows <= order.size(); i += kSparseRows) {
      multiply_rows<kSparseRows, kVecs, kTail>(*args.sparse, order.from(i), block, bias, output);
    }
    for (; i < order.size(); i++) multiply_rows<1, kVecs, kTail>(*args.sparse, order.from(i), block, bias, output);
  }
};

// Gradients d_weights[inputs, units] = transpose(input) * d_output over the block, each row fed to `rule` vector by
// vector.
template <class Rule>
struct SparseGradient {
  const DenseBackwardArgs& args;
  Range inputs;
  const Rule& rule;

  template <int kVecs, bool kTail>
  void run(size_t column, size_t tail) const {
    const ColumnBlock block = {args.d_output + column, args.units, tail};
    const SparseBatch& batch = *args.sparse;
    for (size_t k = inputs.begin; k < inputs.end; k++) {
      Vec acc[kVecs];
      for (int j = 0; j < kVecs; j++) acc[j] = zero();
      const NonZero* const end = batch.column_ends[k];
      for (const NonZero* entry = batch.column(k); entry < end; entry++)
        multiply_entry<kVecs, kTail>(acc, *entry, block);
      for (int j = 0; j < kVecs; j++) {
        const size_t lanes = kTail && j == kVecs - 1 ? tail : kLanes;
        rule.apply(k * args.units + column + static_cast<size_t>(j) * kLanes, acc[j], lanes);
      }
    }
  }
};

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_SPARSE_INL_H_
