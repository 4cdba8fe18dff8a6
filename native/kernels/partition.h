// How outputs are divided among the parts of a slice, and how weight matrices are laid out for it. The engine and the
// kernels both follow this page, so everything here has internal linkage: each includer has its own copy, compiled with
// its own instruction set.
//
// Matrices are divided by columns where every part gets sixteen or more, else by rows; columns and rows of weights come
// in grains of sixteen, rows of a batch one by one. So the ops of a layer agree on who has which unit, and a thread can
// go on from one op to the next without waiting for the others. Images are divided by samples, in grains of
// kSamplesPerPart: a thread takes its images through all layers.
#ifndef MNIST_TRAIN_KERNELS_PARTITION_H_
#define MNIST_TRAIN_KERNELS_PARTITION_H_

#include "kernels.h"

namespace mnist_train {
namespace {

constexpr size_t kGrain = 16;

struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};

struct Block {
  Range rows, columns;
};

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static inline bool holds_lists(const SparseRows& rows) { return rows.pixels != nullptr || rows.values != nullptr; }

// A part's share of `count` things that come in grains.
static inline Range share(size_t count, size_t grain, size_t part, size_t parts) {
  const size_t grains = (count + grain - 1) / grain;
  return {smaller(grains * part / parts * grain, count), smaller(grains * (part + 1) / parts * grain, count)};
}
static inline Range share(size_t count, size_t grain, const Slice& slice) {
  return share(count, grain, slice.part, slice.parts);
}

static inline bool divides_columns(size_t columns, size_t parts) { return columns >= kGrain * parts; }

// A part's share of a matrix whose rows come in grains.
static inline Block share_matrix(size_t rows, size_t columns, size_t row_grain, const Slice& slice) {
  if (divides_columns(columns, slice.parts)) return {{0, rows}, share(columns, kGrain, slice)};
  return {share(rows, row_grain, slice), {0, columns}};
}

// A part's share of the samples of images and of what is summed over them.
static inline Range share_samples(size_t rows, const Slice& slice) { return share(rows, kSamplesPerPart, slice); }

// A part's share of a batch that elements are independent in.
static inline Block share_batch(size_t rows, size_t columns, bool by_parts, const Slice& slice) {
  if (by_parts) return {share_samples(rows, slice), {0, columns}};
  return share_matrix(rows, columns, 1, slice);
}

// Columns of a weight matrix that lie side by side in memory: element [row, column + j] is at
// offset + row * stride + j.
struct Columns {
  size_t column, width;
  size_t offset, stride;
};

// Calls visit(Columns) for the columns of `range`, at most `most` at a time, of a matrix laid out for so many parts
// (see MatrixLayout).
template <class Visit>
static inline void for_columns(const MatrixLayout& layout, Range range, size_t most, const Visit& visit) {
  const auto visit_panel = [&](size_t begin, size_t end) {
    const size_t last = smaller(end, range.end);
    for (size_t column = larger(begin, range.begin); column < last; column += most) {
      visit(Columns{column, smaller(most, last - column), layout.rows * begin + (column - begin), end - begin});
    }
  };
  if (layout.parts == 0) return visit_panel(0, layout.columns);
  const size_t shares = divides_columns(layout.columns, layout.parts) ? layout.parts : 1;
  for (size_t part = 0; part < shares; part++) {
    const Range own = share(layout.columns, kGrain, part, shares);
    if (own.begin >= range.end || own.end <= range.begin) continue;
    // Of equal width where it can be: 80 columns are 48 and 32, not 64 and 16.
    const size_t panels = (own.size() + kPanelColumns - 1) / kPanelColumns;
    for (size_t panel = 0; panel < panels; panel++) {
      const Range columns = share(own.size(), kGrain, panel, panels);
      visit_panel(own.begin + columns.begin, own.begin + columns.end);
    }
  }
}

// The place of columns that lie side by side in this layout.
static inline Columns columns_at(const MatrixLayout& layout, size_t column, size_t width) {
  Columns found = {column, width, column, layout.columns};
  for_columns(layout, {column, column + width}, width, [&](const Columns& columns) { found = columns; });
  return found;
}

// A stretch of memory for each part of a weight matrix. Where the layout is for as many parts it is the part's share of
// the matrix, by columns, or by rows of a single panel; otherwise just a share of the elements.
static inline Range share_elements(const MatrixLayout& layout, const Slice& slice) {
  const Block block = share_matrix(layout.rows, layout.columns, kGrain, slice);
  if (slice.parts > 1 && divides_columns(layout.columns, slice.parts)) {
    return {layout.rows * block.columns.begin, layout.rows * block.columns.end};
  }
  return {layout.columns * block.rows.begin, layout.columns * block.rows.end};
}

}  // namespace
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_PARTITION_H_
