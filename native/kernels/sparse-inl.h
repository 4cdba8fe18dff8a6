// Products whose left factor is mostly zeros, such as images: lists of the non-zeros of every row for the forward pass,
// of every column for the gradient. A term that is left out adds zero, so the chains keep their bits.
//
// Four fifths of MNIST's pixels are zero. What bounds these kernels is loading: one vector of the right factor for each
// multiply-add, and 128 x 64 floats of it or more do not stay in the first cache level beside everything else.
#ifndef MNIST_TRAIN_KERNELS_SPARSE_INL_H_
#define MNIST_TRAIN_KERNELS_SPARSE_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// What a pixel stands for, correctly rounded.
struct PixelTable {
  float values[256];
  constexpr PixelTable() : values() {
    for (int i = 0; i < 256; i++) values[i] = static_cast<float>(i) / 255.0f;
  }
};
alignas(64) constexpr PixelTable kPixelTable;

inline uint32_t index_of(const Pixel& pixel) { return pixel.word >> 8; }
inline uint32_t index_of(const NonZero& entry) { return entry.index; }
inline float value_of(const Pixel& pixel) { return kPixelTable.values[pixel.word & 255]; }
inline float value_of(const NonZero& entry) { return entry.value; }
inline Pixel with_index(const Pixel& pixel, size_t index) {
  return {static_cast<uint32_t>(index) << 8 | (pixel.word & 255)};
}
inline NonZero with_index(const NonZero& entry, size_t index) { return {static_cast<uint32_t>(index), entry.value}; }

template <class Entry>
struct EntryList {
  const Entry* begin;
  size_t length;
};

template <class Entry>
inline EntryList<Entry> list_of(const Entry* entries, const SparseRows& rows, size_t row) {
  const size_t sample = rows.order ? rows.order[row] : row;
  const size_t begin = rows.starts[sample];
  return {entries + begin, rows.starts[sample + 1] - begin};
}

// Calls work with the entries of rows that hold lists.
template <class Work>
inline void with_entries(const SparseRows& rows, const Work& work) {
  if (rows.pixels) return work(rows.pixels);
  work(rows.values);
}

// Starts bringing in the lists of rows of shuffled samples, which lie anywhere. A load of the first entry of each
// brings in its page's address too: a prefetch alone would be dropped where that is not at hand.
template <class Entry>
inline void fetch_lists(const Entry* entries, const SparseRows& rows, Range range) {
  for (size_t row = range.begin; row < range.end; row++) {
    const volatile char* const first = reinterpret_cast<const volatile char*>(list_of(entries, rows, row).begin);
    (void)*first;
  }
  for (size_t row = range.begin; row < range.end; row++) {
    const EntryList<Entry> list = list_of(entries, rows, row);
    const char* const end = reinterpret_cast<const char*>(list.begin + list.length);
    for (const char* p = reinterpret_cast<const char*>(list.begin); p < end; p += 64) prefetch_second_level(p);
  }
}

// Lists from samples.

size_t non_zeros(const uint8_t* bytes, const float* floats, size_t size) {
  size_t found = 0;
  for (size_t i = 0; i < size; i += kLanes) {
    const size_t lanes = smaller(kLanes, size - i);
    if (bytes) {
      found += count(not_equal(lanes == kLanes ? load_bytes(bytes + i) : load_bytes_partial(bytes + i, lanes), zero()));
    } else {
      found += count(not_equal(load_lanes(floats + i, lanes), zero()));
    }
  }
  return found;
}

// Appends the non-zeros of values that stand in `column` and those behind it; returns the new end.
inline Pixel* append_non_zeros(const uint8_t* bytes, size_t size, size_t column, Pixel* end) {
  for (size_t j = 0; j < size; j += kLanes) {
    const size_t lanes = smaller(kLanes, size - j);
    const Vec x = lanes == kLanes ? load_bytes(bytes + j) : load_bytes_partial(bytes + j, lanes);
    const Mask mask = not_equal(x, zero());
    store(reinterpret_cast<float*>(end), compress(pixel_bits(x, static_cast<uint32_t>(column + j)), mask));
    end += count(mask);
  }
  return end;
}

inline NonZero* append_non_zeros(const float* floats, size_t size, size_t column, NonZero* end) {
  for (size_t j = 0; j < size; j += kLanes) {
    const Vec x = load_lanes(floats + j, smaller(kLanes, size - j));
    const Mask mask = not_equal(x, zero());
    store_pairs(reinterpret_cast<float*>(end), compress(index_bits(static_cast<uint32_t>(column + j)), mask),
                compress(x, mask));
    end += count(mask);
  }
  return end;
}

void row_lists(const RowListsArgs& args) {
  Pixel* pixels = args.pixels;
  NonZero* values = args.values;
  for (size_t row = 0; row < args.rows; row++) {
    args.starts[row] = static_cast<size_t>(args.bytes ? pixels - args.pixels : values - args.values);
    if (args.bytes) {
      pixels = append_non_zeros(args.bytes + row * args.columns, args.columns, 0, pixels);
    } else {
      values = append_non_zeros(args.floats + row * args.columns, args.columns, 0, values);
    }
  }
  args.starts[args.rows] = static_cast<size_t>(args.bytes ? pixels - args.pixels : values - args.values);
}

// Below this share of non-zeros, dense rows are made into lists for a product with many columns: activations behind
// ReLU (784-512-512-10 on MNIST: half of the first layer's are zero at first, two thirds after three epochs). Lists by
// rows and columns cost what a tenth of the products of 512 units do.
constexpr double kActivationDensity = 0.45;
constexpr size_t kLeastColumns = 128;

// The rows of a dense batch as lists, where some of them show that this pays for so many columns of a product; else no
// lists.
inline SparseRows lists_if_sparse(const float* input, const MatrixLayout& layout, size_t rows, size_t product_columns,
                                  const ListRoom& room) {
  constexpr size_t kLookedAt = 8;
  SparseRows lists = {nullptr, nullptr, room.starts, nullptr};
  if (room.rows == nullptr || product_columns < kLeastColumns || rows < kLookedAt) return lists;
  const auto for_stretches = [&](size_t row, const auto& visit) {
    for_columns(layout, {0, layout.columns}, layout.columns,
                [&](const Columns& c) { visit(input + c.offset + row * c.stride, c); });
  };
  size_t found = 0;
  for (size_t i = 0; i < kLookedAt; i++) {
    for_stretches(rows * i / kLookedAt,
                  [&](const float* floats, const Columns& c) { found += non_zeros(nullptr, floats, c.width); });
  }
  if (static_cast<double>(found) >= kActivationDensity * static_cast<double>(kLookedAt * layout.columns)) return lists;
  NonZero* end = room.rows;
  for (size_t row = 0; row < rows; row++) {
    room.starts[row] = static_cast<size_t>(end - room.rows);
    for_stretches(
        row, [&](const float* floats, const Columns& c) { end = append_non_zeros(floats, c.width, c.column, end); });
  }
  room.starts[rows] = static_cast<size_t>(end - room.rows);
  lists.values = room.rows;
  return lists;
}

// The non-zeros of a batch's columns, by increasing row.
template <class Entry>
struct ListsOfColumns {
  const Entry* entries;
  size_t stride;
  Entry* const* ends;
};

template <class Entry>
inline ListsOfColumns<Entry> lists_of_columns(const Entry* entries, const SparseRows& sparse, size_t rows,
                                              size_t columns, const ListRoom& room) {
  Entry* const lists = static_cast<Entry*>(room.columns);
  Entry** const ends = reinterpret_cast<Entry**>(room.ends);
  for (size_t k = 0; k < columns; k++) ends[k] = lists + k * room.stride;
  for (size_t row = 0; row < rows; row++) {
    const EntryList<Entry> list = list_of(entries, sparse, row);
    for (size_t t = 0; t < list.length; t++) *ends[index_of(list.begin[t])]++ = with_index(list.begin[t], row);
  }
  return {lists, room.stride, ends};
}

// Products.

// The columns of the right factor that one pass of a product computes.
struct ColumnBlock {
  const float* right;  // at the first column, rows of `stride` floats
  size_t stride;
  size_t tail;  // lanes of the last vector
};

template <int kVecs, bool kTail, class Entry>
inline void multiply_entry(Vec (&acc)[kVecs], const Entry& entry, const ColumnBlock& block) {
  const Vec factor = set1(value_of(entry));
  const float* p = block.right + index_of(entry) * block.stride;
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

// Calls work.run<vectors, ragged>(first column, tail) for runs of columns: kWide vectors, else at most four.
template <int kWide, class Work>
inline void for_vectors(size_t columns, const Work& work) {
  size_t column = 0;
  if constexpr (kWide > 4) {
    for (; column + kWide * kLanes <= columns; column += kWide * kLanes) {
      work.template run<kWide, false>(column, kLanes);
    }
  }
  for (; column < columns; column += 4 * kLanes) {
    const size_t width = smaller(4 * kLanes, columns - column);
    const size_t vecs = (width + kLanes - 1) / kLanes;
    const size_t tail = width - (vecs - 1) * kLanes;
    switch (vecs * 2 + (tail == kLanes ? 0 : 1)) {
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

// Rows in the order of the lengths of their lists (counting sort): rows that go in lockstep then end together.
class RowOrder {
 public:
  static constexpr size_t kMostRows = 128;

  RowOrder(const SparseRows& sparse, size_t columns, Range rows) : count_(rows.size()) {
    constexpr size_t kBuckets = 128;
    const size_t divisor = columns / kBuckets + 1;
    const auto bucket_of = [&](size_t row) {
      const size_t sample = sparse.order ? sparse.order[row] : row;
      return (sparse.starts[sample + 1] - sparse.starts[sample]) / divisor;
    };
    uint32_t ends[kBuckets + 1] = {0};
    for (size_t row = rows.begin; row < rows.end; row++) ends[bucket_of(row) + 1]++;
    for (size_t i = 1; i <= kBuckets; i++) ends[i] += ends[i - 1];
    for (size_t row = rows.begin; row < rows.end; row++) rows_[ends[bucket_of(row)]++] = static_cast<uint32_t>(row);
  }
  size_t size() const { return count_; }
  const uint32_t* from(size_t place) const { return rows_ + place; }

 private:
  size_t count_;
  uint32_t rows_[kMostRows];
};

// output[row, block] = bias + left[row] * right, for the rows of `order`. Some rows' lists run in lockstep as far as
// the shortest goes: their independent chains hide the latency of the multiply-adds, and a vector that one of them
// loads is in the first cache level still when the others, which are near the same column, want it. Six rows of four
// vectors take 39 µs for 128 images and 64 units, four rows 41, two 48, one 57.
template <class Entry>
struct SparseForward {
  const Entry* entries;
  const SparseRows& sparse;
  const RowOrder& order;
  const float* weights;  // here and below, at the first column
  size_t weights_stride;
  const float* bias;  // may be null
  float* output;
  size_t output_stride;

  template <int kVecs, bool kTail>
  void run(size_t column, size_t tail) const {
    const ColumnBlock block = {weights + column, weights_stride, tail};
    size_t i = 0;
    for (; i + kSparseRows <= order.size(); i += kSparseRows) {
      run_rows<kSparseRows, kVecs, kTail>(order.from(i), block, column);
    }
    for (; i < order.size(); i++) run_rows<1, kVecs, kTail>(order.from(i), block, column);
  }

  template <int kRows, int kVecs, bool kTail>
  void run_rows(const uint32_t* rows, const ColumnBlock& block, size_t column) const {
    Vec acc[kRows][kVecs];
    for (int j = 0; j < kVecs; j++) {
      Vec start = zero();
      if (bias) {
        const float* p = bias + column + j * kLanes;
        start = add(kTail && j == kVecs - 1 ? load_partial(p, block.tail) : load(p), zero());
      }
      for (int i = 0; i < kRows; i++) acc[i][j] = start;
    }
    EntryList<Entry> lists[kRows];
    size_t shortest = static_cast<size_t>(-1);
    for (int i = 0; i < kRows; i++) {
      lists[i] = list_of(entries, sparse, rows[i]);
      shortest = smaller(shortest, lists[i].length);
    }
    for (size_t t = 0; t < shortest; t++) {
#pragma GCC unroll 8
      for (int i = 0; i < kRows; i++) multiply_entry<kVecs, kTail>(acc[i], lists[i].begin[t], block);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++) {
      for (size_t t = shortest; t < lists[i].length; t++) {
        multiply_entry<kVecs, kTail>(acc[i], lists[i].begin[t], block);
      }
      store_columns<kVecs, kTail>(output + rows[i] * output_stride + column, acc[i], block.tail);
    }
  }
};

// Rows of a gradient as they are computed: where they are put, and who takes them from there. With `take`, every row
// goes to the same place.
struct RowSink {
  float* rows;
  size_t stride;
  void (*take)(const void* taker, size_t at, const float* row, size_t count);  // null: they stay where they were put
  const void* taker;
};

// gradient[inputs, columns] = transpose(input) * d_output
template <class Entry>
struct SparseGradient {
  const ListsOfColumns<Entry>& lists;
  Range inputs;
  Columns columns;        // of the weights
  const float* d_output;  // at the first of them
  size_t d_output_stride;
  RowSink sink;

  template <int kVecs, bool kTail>
  void run(size_t column, size_t tail) const {
    const ColumnBlock block = {d_output + column, d_output_stride, tail};
    float* row = sink.rows + column;
    for (size_t k = inputs.begin; k < inputs.end; k++) {
      Vec acc[kVecs];
      for (int j = 0; j < kVecs; j++) acc[j] = zero();
      const Entry* const end = lists.ends[k];
      for (const Entry* entry = lists.entries + k * lists.stride; entry < end; entry++) {
        multiply_entry<kVecs, kTail>(acc, *entry, block);
      }
      store_columns<kVecs, kTail>(row, acc, tail);
      if (sink.take) {
        sink.take(sink.taker, columns.offset + k * columns.stride + column, row, (kVecs - 1) * kLanes + tail);
      }
      row += sink.stride;
    }
  }
};

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_SPARSE_INL_H_
