// Kernels whose output elements are independent: activations and their gradients, add, gather.
#ifndef MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_
#define MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_

#include "kernels.h"
#include "lanes-inl.h"
#include "math-inl.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Calls visit(index, lanes) for the vectors of a part's share of a batch. Whole rows follow each other, so they are one
// stretch.
template <class Visit>
inline void for_elements(size_t rows, size_t columns, bool by_parts, Slice slice, const Visit& visit) {
  const Block block = share_batch(rows, columns, by_parts, slice);
  const bool whole_rows = block.columns.size() == columns;
  const size_t stretches = whole_rows ? 1 : block.rows.size();
  const size_t length = whole_rows ? block.rows.size() * columns : block.columns.size();
  for (size_t i = 0; i < stretches; i++) {
    const size_t begin = (block.rows.begin + i) * columns + block.columns.begin;
    for (size_t j = 0; j < length; j += kLanes) visit(begin + j, smaller(kLanes, length - j));
  }
}

void activation(const ActivationArgs& args, Slice slice) {
  for_elements(args.rows, args.columns, args.by_parts, slice, [&](size_t i, size_t lanes) {
    const Vec x = load_lanes(args.input + i, lanes);
    store_lanes(args.output + i, activate(x, args.activation, args.negative_slope), lanes);
  });
}

void add(const AddArgs& args, Slice slice) {
  for_elements(args.rows, args.columns, args.by_parts, slice, [&](size_t i, size_t lanes) {
    store_lanes(args.output + i, add(load_lanes(args.a + i, lanes), load_lanes(args.b + i, lanes)), lanes);
  });
}

// d_input = d_output * activation' for columns that are side by side in both layouts.
struct ActivationBackward {
  const ActivationBackwardArgs& args;
  Range rows;
  const Columns& columns;
  const Columns& reference;

  template <bool kRelu>
  void run(Activation activation) const {
    if (kRelu) activation = Activation::kRelu;
    for (size_t row = rows.begin; row < rows.end; row++) {
      const float* y = args.reference + reference.offset + row * reference.stride;
      const float* dy = args.d_output + columns.offset + row * columns.stride;
      float* dx = args.d_input + columns.offset + row * columns.stride;
      for (size_t j = 0; j < columns.width; j += kLanes) {
        const size_t lanes = smaller(kLanes, columns.width - j);
        const Vec gradient = load_lanes(dy + j, lanes);
        store_lanes(dx + j, activate_backward(load_lanes(y + j, lanes), gradient, activation, args.negative_slope),
                    lanes);
      }
    }
  }
};

void activation_backward(const ActivationBackwardArgs& args, Slice slice) {
  const Block block = share_batch(args.rows, args.columns, args.by_parts, slice);
  const MatrixLayout& finer = args.layout.parts > 0 ? args.layout : args.reference_layout;
  for_columns(finer, block.columns, args.columns, [&](const Columns& c) {
    const Columns columns = columns_at(args.layout, c.column, c.width);
    const Columns reference = columns_at(args.reference_layout, c.column, c.width);
    with_activation(args.activation, ActivationBackward{args, block.rows, columns, reference});
  });
}

// v / 255, correctly rounded for every byte: a reciprocal and one correction step, a third of a division's time. The
// native tests check all 256 values.
inline Vec scale_pixels(Vec v) {
  const Vec reciprocal = set1(1.0f / 255.0f);
  const Vec q = mul(v, reciprocal);
  const Vec remainder = fma(q, set1(-255.0f), v);
  return fma(remainder, reciprocal, q);
}

// A row of pixels / 255, or of floats as they are, `lanes` at a time.
struct PixelRow {
  const uint8_t* bytes;
  Vec load(size_t j, size_t lanes) const {
    return scale_pixels(lanes == kLanes ? load_bytes(bytes + j) : load_bytes_partial(bytes + j, lanes));
  }
};

struct FloatRow {
  const float* floats;
  Vec load(size_t j, size_t lanes) const { return load_lanes(floats + j, lanes); }
};

template <class Row>
inline void gather_row(const Row& source, float* output, size_t columns) {
  for (size_t j = 0; j < columns; j += kLanes) {
    const size_t lanes = smaller(kLanes, columns - j);
    store_lanes(output + j, source.load(j, lanes), lanes);
  }
}

template <class Entry>
inline void gather_list(EntryList<Entry> list, float* output, size_t columns) {
  for (size_t j = 0; j < columns; j += kLanes) store_lanes(output + j, zero(), smaller(kLanes, columns - j));
  for (size_t t = 0; t < list.length; t++) output[index_of(list.begin[t])] = value_of(list.begin[t]);
}

// Starts bringing a sample into the cache.
inline void fetch_sample(const GatherArgs& args, size_t sample) {
  constexpr size_t kCacheLine = 64;
  const size_t size = args.columns * (args.bytes ? 1 : sizeof(float));
  const char* data =
      args.bytes ? reinterpret_cast<const char*>(args.bytes) : reinterpret_cast<const char*>(args.floats);
  for (size_t offset = 0; offset < size; offset += kCacheLine) prefetch(data + sample * size + offset);
}

void gather(const GatherArgs& args, Slice slice) {
  const Range rows = share(args.rows, args.by_parts ? kSamplesPerPart : 1, slice);
  for (size_t row = rows.begin; row < rows.end; row++) {
    float* output = args.output + row * args.columns;
    if (holds_lists(args.sparse)) {
      with_entries(args.sparse,
                   [&](const auto* entries) { gather_list(list_of(entries, args.sparse, row), output, args.columns); });
      continue;
    }
    // Shuffled samples lie anywhere: fetching three ahead takes half of the time.
    if (args.order && row + 3 < rows.end) fetch_sample(args, args.order[row + 3]);
    const size_t source = (args.order ? args.order[row] : row) * args.columns;
    if (args.bytes) {
      gather_row(PixelRow{args.bytes + source}, output, args.columns);
    } else {
      gather_row(FloatRow{args.floats + source}, output, args.columns);
    }
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_
