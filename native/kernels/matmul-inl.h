// Matrix products: every output element is one chain of fused multiply-adds in increasing depth, from a start value.
//
// One tile kernel serves all layouts. a is read by broadcasts, so any row and depth stride will do (a transposed a only
// swaps them). b is read by vectors along its rows; a transposed b is first copied, block by block, into a panel. A
// tile is kTileRows[vectors - 1] rows by `vectors` vectors of columns; 12 to 24 independent chains hide the latency of
// the multiply-add. The last vector of a ragged row is loaded and stored in part: there is no scalar remainder loop.
#ifndef MNIST_TRAIN_KERNELS_MATMUL_INL_H_
#define MNIST_TRAIN_KERNELS_MATMUL_INL_H_

#include "kernels.h"
#include "math-inl.h"
#include "partition-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

struct Operand {
  const float* data;
  size_t row_stride, depth_stride;
};

// What happens around the chains: where they start, and what is applied at the end.
struct Epilogue {
  const float* bias;
  Activation activation;
  float negative_slope;
};

struct Tile {
  const float* a;  // the tile's first row
  size_t a_row, a_depth;
  const float* b;  // the tile's first column
  size_t b_depth;
  float* c;
  size_t c_row;
  size_t depth;
  size_t tail;        // lanes of the last vector: 1 to kLanes
  const float* bias;  // at the tile's first column, or null
};

template <int kRows, int kVecs, bool kTail>
void multiply_tile(const Tile& tile) {
  Vec start[kVecs];
  for (int j = 0; j < kVecs; j++) {
    start[j] = zero();
    if (tile.bias) {
      const float* p = tile.bias + j * kLanes;
      // The addition turns -0 into +0, so that skipped zeros cannot show.
      start[j] = add(kTail && j == kVecs - 1 ? load_partial(p, tile.tail) : load(p), zero());
    }
  }
  Vec acc[kRows][kVecs];
  for (int i = 0; i < kRows; i++) {
    for (int j = 0; j < kVecs; j++) acc[i][j] = start[j];
  }
  const float* a = tile.a;
  const float* b = tile.b;
  const size_t a_row = tile.a_row;
  for (size_t k = tile.depth; k > 0; k--) {
    Vec columns[kVecs];
    for (int j = 0; j < kVecs; j++) {
      columns[j] = kTail && j == kVecs - 1 ? load_partial(b + j * kLanes, tile.tail) : load(b + j * kLanes);
    }
    for (int i = 0; i < kRows; i++) {
      const Vec factor = set1(a[i * a_row]);
      for (int j = 0; j < kVecs; j++) acc[i][j] = fma(factor, columns[j], acc[i][j]);
    }
    a += tile.a_depth;
    b += tile.b_depth;
  }
  for (int i = 0; i < kRows; i++) {
    for (int j = 0; j < kVecs; j++) {
      float* p = tile.c + i * tile.c_row + j * kLanes;
      if (kTail && j == kVecs - 1) {
        store_partial(p, acc[i][j], tile.tail);
      } else {
        store(p, acc[i][j]);
      }
    }
  }
}

using TileFunction = void (*)(const Tile&);

// The tile kernel for a number of rows: tiles of every height up to kTileRows exist, for the last rows of a matrix.
template <int kRows, int kVecs, bool kTail>
TileFunction tile_of_height(size_t rows) {
  if constexpr (kRows == 1) {
    return multiply_tile<1, kVecs, kTail>;
  } else {
    return rows == kRows ? multiply_tile<kRows, kVecs, kTail> : tile_of_height<kRows - 1, kVecs, kTail>(rows);
  }
}

template <int kVecs>
TileFunction tile_function(size_t vecs, size_t rows, bool tail) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return tile_function<kVecs - 1>(vecs, rows, tail);
  }
  constexpr int kRows = kTileRows[kVecs - 1];
  return tail ? tile_of_height<kRows, kVecs, true>(rows) : tile_of_height<kRows, kVecs, false>(rows);
}

// Applies the activation to a tile that was just stored and is still in the first cache level. Not part of the tile
// kernels: sixty copies of tanh and gelu would be most of the binary, and this pass is 1 / depth of the work.
void activate_tile(const Tile& tile, size_t rows, size_t width, const Epilogue& epilogue) {
  for (size_t i = 0; i < rows; i++) {
    float* row = tile.c + i * tile.c_row;
    for (size_t j = 0; j < width; j += kLanes) {
      const size_t lanes = smaller(kLanes, width - j);
      const Vec x = load_partial(row + j, lanes);
      store_partial(row + j, activate(x, epilogue.activation, epilogue.negative_slope), lanes);
    }
  }
}

// Copies columns [begin, begin + width) of b, which is stored transposed with rows of `stride` floats, into a panel of
// `depth` rows of kPanelColumns floats.
inline void pack_transposed(const float* b, size_t stride, size_t begin, size_t width, size_t depth, float* panel) {
  for (size_t j = 0; j < width; j++) {
    const float* row = b + (begin + j) * stride;
    for (size_t k = 0; k < depth; k++) panel[k * kPanelColumns + j] = row[k];
  }
}

// The block of c = epilogue(a * b). `b_stride` is the length of a stored row of b.
inline void multiply_block(Block block, size_t depth, Operand a, const float* b, size_t b_stride, bool transpose_b,
                           float* c, size_t c_stride, const Epilogue& epilogue, float* scratch) {
  static_assert(kTileVecs * kLanes <= kPanelColumns, "a panel holds one block of columns");
  if (block.rows.size() == 0) return;
  size_t column = block.columns.begin;
  while (column < block.columns.end) {
    // Blocks of equal width: five vectors are 3 + 2, not 4 + 1.
    const size_t remaining = block.columns.end - column;
    const size_t vectors_left = (remaining + kLanes - 1) / kLanes;
    const size_t blocks_left = (vectors_left + kTileVecs - 1) / kTileVecs;
    const size_t vecs = (vectors_left + blocks_left - 1) / blocks_left;
    const size_t width = smaller(remaining, vecs * kLanes);

    Tile tile;
    tile.a_row = a.row_stride;
    tile.a_depth = a.depth_stride;
    tile.b = b + column;
    tile.b_depth = b_stride;
    if (transpose_b) {
      pack_transposed(b, b_stride, column, width, depth, scratch);
      tile.b = scratch;
      tile.b_depth = kPanelColumns;
    }
    tile.c_row = c_stride;
    tile.depth = depth;
    tile.tail = width - (vecs - 1) * kLanes;
    tile.bias = epilogue.bias ? epilogue.bias + column : nullptr;
    const bool tail = tile.tail != kLanes;

    const size_t height = static_cast<size_t>(kTileRows[vecs - 1]);
    const TileFunction full = tile_function<kTileVecs>(vecs, height, tail);
    for (size_t row = block.rows.begin; row < block.rows.end; row += height) {
      const size_t rows = smaller(height, block.rows.end - row);
      tile.a = a.data + row * a.row_stride;
      tile.c = c + row * c_stride + column;
      const TileFunction multiply = rows == height ? full : tile_function<kTileVecs>(vecs, rows, tail);
      multiply(tile);
      if (epilogue.activation != Activation::kLinear) activate_tile(tile, rows, width, epilogue);
    }
    column += width;
  }
}

void matmul(const MatmulArgs& args, Slice slice) {
  const Operand a = {args.a, args.transpose_a ? 1 : args.k, args.transpose_a ? args.m : 1};
  multiply_block(share_matrix(args.m, args.n, slice), args.k, a, args.b, args.transpose_b ? args.k : args.n,
                 args.transpose_b, args.output, args.n, {nullptr, Activation::kLinear, 0.0f}, slice.scratch);
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_MATMUL_INL_H_
