// Matrix products: every output element is one chain of fused multiply-adds in increasing depth, from a start value.
//
// One tile kernel serves all layouts. a is read by broadcasts, so any row and depth stride will do (a transposed a only
// swaps them). b is read by vectors along its rows. A tile is kTileRows[vectors - 1] rows by `vectors` vectors of
// columns; 12 to 24 independent chains hide the latency of the multiply-add. The last vector of a ragged row is loaded
// and stored in part: there is no scalar remainder loop.
//
// Around it, blocks of columns as wide as a tile. A block of b is copied into a panel, whose rows follow each other,
// when b is stored transposed, or when so many rows use it that the copy costs less than cache misses at b's stride
// would. A product narrower than a vector is computed as its transpose, with vectors along the rows of a.
#ifndef MNIST_TRAIN_KERNELS_MATMUL_INL_H_
#define MNIST_TRAIN_KERNELS_MATMUL_INL_H_

#include "kernels.h"
#include "lanes-inl.h"
#include "math-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// gcc keeps the accumulators of some tiles in memory unless it is told to unroll their loops.
#if defined(__clang__)
#define MNIST_TRAIN_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define MNIST_TRAIN_UNROLL _Pragma("GCC unroll 16")
#else
#define MNIST_TRAIN_UNROLL
#endif

constexpr size_t kBlockColumns = kTileVecs * kLanes;
static_assert(kBlockColumns <= kPanelColumns, "a panel holds one block of columns");

// The most columns of a product that is computed as its transpose.
constexpr size_t kNarrow = 16;

inline size_t vectors_for(size_t columns) { return (columns + kLanes - 1) / kLanes; }

struct Operand {
  const float* data;
  size_t row_stride, depth_stride;
};

// A right factor b whose columns are `column_stride` apart: 1, or the stored row length of a transposed b.
struct StridedFactor {
  const float* data;
  size_t column_stride, depth_stride;

  bool transposed() const { return column_stride != 1; }
  const float* at(size_t column, size_t depth) const { return data + column * column_stride + depth * depth_stride; }
  void pack(Range columns, Range depth, float* panel, size_t panel_stride) const;
};

// A matrix [columns of b, depth] as the right factor, in whatever layout it is.
struct TransposedMatrix {
  const float* data;
  MatrixLayout layout;

  bool transposed() const { return true; }
  void pack(Range columns, Range depth, float* panel, size_t panel_stride) const;
};

// What happens around the chains: where they start, and what is applied at the end.
struct Epilogue {
  const float* bias;
  Activation activation;
  float negative_slope;
  bool continues;  // the chains go on from what c holds
};

constexpr Epilogue kPlain = {nullptr, Activation::kLinear, 0.0f, false};

// Strides of a and b are in bytes: of those in floats gcc would make a second copy of each loop, for a stride of one.
struct Tile {
  const float* a;  // the first row
  size_t a_row, a_depth;
  const float* b;  // the first column
  size_t b_depth;
  float* c;
  size_t c_row;
  size_t depth;
  size_t tail;         // lanes of the last vector: 1 to kLanes
  const float* start;  // whole vectors, the same for every row; null: the chains go on from what c holds
};

inline const float* step(const float* p, size_t bytes) {
  return reinterpret_cast<const float*>(reinterpret_cast<const char*>(p) + bytes);
}

inline Vec load_tail(const float* p, bool partial, size_t lanes) { return partial ? load_lanes(p, lanes) : load(p); }

// `count` tiles, one below the other.
template <int kRows, int kVecs, bool kTail>
void multiply_tiles(const Tile& tile, size_t count) {
  const size_t start_row = tile.start ? 0 : tile.c_row;
  const float* first = tile.a;
  float* c = tile.c;
  for (; count > 0; count--) {
    const float* start = tile.start ? tile.start : c;
    Vec acc[kRows][kVecs];
    MNIST_TRAIN_UNROLL
    for (int i = 0; i < kRows; i++) {
      for (int j = 0; j < kVecs; j++) acc[i][j] = load_tail(start + j * kLanes, kTail && j == kVecs - 1, tile.tail);
      start += start_row;
    }
    const float* a = first;
    const float* b = tile.b;
    for (size_t k = tile.depth; k > 0; k--) {
      Vec columns[kVecs];
      for (int j = 0; j < kVecs; j++) columns[j] = load_tail(b + j * kLanes, kTail && j == kVecs - 1, tile.tail);
      MNIST_TRAIN_UNROLL
      for (int i = 0; i < kRows; i++) {
        const Vec factor = set1(*step(a, i * tile.a_row));
        for (int j = 0; j < kVecs; j++) acc[i][j] = fma(factor, columns[j], acc[i][j]);
      }
      a = step(a, tile.a_depth);
      b = step(b, tile.b_depth);
    }
    MNIST_TRAIN_UNROLL
    for (int i = 0; i < kRows; i++) {
      for (int j = 0; j < kVecs; j++) {
        if (kTail && j == kVecs - 1) {
          store_partial(c + j * kLanes, acc[i][j], tile.tail);
        } else {
          store(c + j * kLanes, acc[i][j]);
        }
      }
      c += tile.c_row;
    }
    first = step(first, kRows * tile.a_row);
  }
}

using TileFunction = void (*)(const Tile&, size_t);

// The tile kernel for a number of rows: tiles of every height up to kTileRows exist.
template <int kRows, int kVecs, bool kTail>
TileFunction tile_of_height(size_t rows) {
  if constexpr (kRows == 1) {
    return multiply_tiles<1, kVecs, kTail>;
  } else {
    return rows == kRows ? multiply_tiles<kRows, kVecs, kTail> : tile_of_height<kRows - 1, kVecs, kTail>(rows);
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

// All rows of a block of columns, in tiles whose heights differ by one at most: 64 rows by at most six are nine tiles
// of six and two of five.
inline void multiply_rows(Tile tile, size_t rows, size_t vecs) {
  const size_t most = static_cast<size_t>(kTileRows[vecs - 1]);
  const size_t tiles = (rows + most - 1) / most;
  const size_t height = rows / tiles, taller = rows % tiles;
  const bool tail = tile.tail != kLanes;
  if (taller > 0) {
    tile_function<kTileVecs>(vecs, height + 1, tail)(tile, taller);
    tile.a = step(tile.a, taller * (height + 1) * tile.a_row);
    tile.c += taller * (height + 1) * tile.c_row;
  }
  tile_function<kTileVecs>(vecs, height, tail)(tile, tiles - taller);
}

// Applies the activation to rows that were just stored and are still in a near cache level. Not part of the tile
// kernels: sixty copies of tanh and gelu would be most of the binary, and this pass is 1 / depth of the work.
struct ActivateRows {
  float* c;
  size_t c_row, rows, width;
  float negative_slope;

  template <bool kRelu>
  void run(Activation activation) const {
    if (kRelu) activation = Activation::kRelu;
    for (size_t i = 0; i < rows; i++) {
      float* row = c + i * c_row;
      for (size_t j = 0; j < width; j += kLanes) {
        const size_t lanes = smaller(kLanes, width - j);
        store_lanes(row + j, activate(load_lanes(row + j, lanes), activation, negative_slope), lanes);
      }
    }
  }
};

inline void activate_rows(float* c, size_t c_row, size_t rows, size_t width, const Epilogue& epilogue) {
  if (epilogue.activation == Activation::kLinear) return;
  with_activation(epilogue.activation, ActivateRows{c, c_row, rows, width, epilogue.negative_slope});
}

// to[column, row] = from[row, column]
inline void transpose(const float* from, size_t from_stride, size_t rows, size_t columns, float* to, size_t to_stride) {
  for (size_t row = 0; row < rows; row += kLanes) {
    const size_t lanes = smaller(kLanes, rows - row);
    // Behind the last row that row is read again, for lanes that are not stored.
    const float* sources[kLanes];
    for (size_t lane = 0; lane < kLanes; lane++) sources[lane] = from + (row + smaller(lane, lanes - 1)) * from_stride;
    size_t column = 0;
    while (columns >= 4 && column < columns) {
      column = smaller(column, columns - 4);  // the last four overlap those before
      Vec quads[4];
      for (size_t i = 0; i < 4; i++) quads[i] = load_quads(sources + i, column);
      transpose_quads(quads);
      for (size_t i = 0; i < 4; i++) store_lanes(to + (column + i) * to_stride + row, quads[i], lanes);
      column += 4;
    }
    for (; column < columns; column++) {
      for (size_t lane = 0; lane < lanes; lane++) to[column * to_stride + row + lane] = sources[lane][column];
    }
  }
}

// to[row, column] = from[row, column]
inline void copy_rows(const float* from, size_t from_stride, size_t rows, size_t columns, float* to, size_t to_stride) {
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j += kLanes) {
      const size_t lanes = smaller(kLanes, columns - j);
      store_lanes(to + i * to_stride + j, load_lanes(from + i * from_stride + j, lanes), lanes);
    }
  }
}

inline void StridedFactor::pack(Range columns, Range depth, float* panel, size_t panel_stride) const {
  const float* source = at(columns.begin, depth.begin);
  if (transposed()) {
    transpose(source, column_stride, columns.size(), depth.size(), panel, panel_stride);
  } else {
    copy_rows(source, depth_stride, depth.size(), columns.size(), panel, panel_stride);
  }
}

inline void TransposedMatrix::pack(Range columns, Range depth, float* panel, size_t panel_stride) const {
  for_columns(layout, depth, depth.size(), [&](const Columns& stored) {
    const float* source = data + stored.offset + columns.begin * stored.stride;
    float* rows = panel + (stored.column - depth.begin) * panel_stride;
    transpose(source, stored.stride, columns.size(), stored.width, rows, panel_stride);
  });
}

// `rows` rows of one block of columns, from the tile's start to the end of the chains. b is packed in panels, each of
// which serves all rows before the next: between them the chains wait in c.
template <class Factor>
inline void multiply_packed(Tile tile, size_t rows, Range columns, size_t depth, const Factor& b, float* panel) {
  const size_t vecs = vectors_for(columns.size());
  tile.tail = columns.size() - (vecs - 1) * kLanes;
  tile.b = panel;
  tile.b_depth = vecs * kLanes * sizeof(float);
  size_t k = 0;
  do {
    tile.depth = smaller(depth - k, kPanelDepth);
    b.pack(columns, {k, k + tile.depth}, panel, vecs * kLanes);
    multiply_rows(tile, rows, vecs);
    tile.a = step(tile.a, tile.depth * tile.a_depth);
    tile.start = nullptr;
    k += tile.depth;
  } while (k < depth);
}

// The same with b read in place.
inline void multiply_in_place(Tile tile, size_t rows, Range columns, size_t depth, const StridedFactor& b) {
  const size_t vecs = vectors_for(columns.size());
  tile.tail = columns.size() - (vecs - 1) * kLanes;
  tile.b = b.at(columns.begin, 0);
  tile.b_depth = b.depth_stride * sizeof(float);
  tile.depth = depth;
  multiply_rows(tile, rows, vecs);
}

inline void multiply_columns(const Tile& tile, size_t rows, Range columns, size_t depth, const StridedFactor& b,
                             float* panel) {
  // Rows of a panel follow each other closely enough as they are.
  const bool pack = b.transposed() || (rows >= kPackRows && b.depth_stride > kPanelColumns);
  if (pack) return multiply_packed(tile, rows, columns, depth, b, panel);
  multiply_in_place(tile, rows, columns, depth, b);
}

inline void multiply_columns(const Tile& tile, size_t rows, Range columns, size_t depth, const TransposedMatrix& b,
                             float* panel) {
  multiply_packed(tile, rows, columns, depth, b, panel);
}

// Whether the transpose of a product takes fewer steps: tile rows times vectors, and, for an a whose columns are not
// stored as rows, about a quarter of a step to transpose each row.
inline bool is_narrow(size_t rows, size_t columns, size_t a_row_stride) {
  if (columns > kNarrow) return false;
  const size_t transposing = a_row_stride == 1 ? 0 : rows / 4;
  return columns * vectors_for(rows) + transposing < rows * vectors_for(columns);
}

// transpose(c) = transpose(b) * transpose(a), a strip of as many rows of a at a time as a tile has columns.
template <class Factor>
inline void multiply_narrow(Block block, size_t depth, const Factor& transposed_a, const StridedFactor& b, float* c,
                            size_t c_stride, const Epilogue& epilogue, float* scratch) {
  const size_t columns = block.columns.size();
  alignas(64) float strip[kNarrow * kBlockColumns];
  Tile tile;
  tile.a = b.at(block.columns.begin, 0);
  tile.a_row = b.column_stride * sizeof(float);
  tile.a_depth = b.depth_stride * sizeof(float);
  tile.c = strip;
  tile.c_row = kBlockColumns;
  tile.start = nullptr;
  for (size_t row = block.rows.begin; row < block.rows.end; row += kBlockColumns) {
    const size_t width = smaller(kBlockColumns, block.rows.end - row);
    for (size_t j = 0; j < columns; j++) {
      const Vec start = epilogue.bias ? add(set1(epilogue.bias[block.columns.begin + j]), zero()) : zero();
      for (size_t i = 0; i < width; i += kLanes) store(strip + j * kBlockColumns + i, start);
    }
    multiply_columns(tile, columns, {row, row + width}, depth, transposed_a, scratch);
    activate_rows(strip, kBlockColumns, columns, width, epilogue);
    transpose(strip, kBlockColumns, columns, width, c + row * c_stride + block.columns.begin, c_stride);
  }
}

// c = epilogue(a * b) for the block, by tiles.
template <class Factor>
inline void multiply_wide(Block block, size_t depth, Operand a, const Factor& b, float* c, size_t c_stride,
                          const Epilogue& epilogue, float* scratch) {
  const size_t rows = block.rows.size();
  alignas(64) float start[kBlockColumns];
  Tile tile;
  tile.a = a.data + block.rows.begin * a.row_stride;
  tile.a_row = a.row_stride * sizeof(float);
  tile.a_depth = a.depth_stride * sizeof(float);
  tile.c_row = c_stride;
  tile.start = epilogue.continues ? nullptr : start;
  size_t column = block.columns.begin;
  while (column < block.columns.end) {
    // Blocks of equal width: five vectors are 3 + 2, not 4 + 1.
    const size_t vectors_left = vectors_for(block.columns.end - column);
    const size_t blocks_left = (vectors_left + kTileVecs - 1) / kTileVecs;
    const size_t vecs = (vectors_left + blocks_left - 1) / blocks_left;
    const size_t width = smaller(block.columns.end - column, vecs * kLanes);
    for (size_t j = 0; j < width; j += kLanes) {
      // The addition turns -0 into +0, so that skipped zeros cannot show.
      const size_t lanes = smaller(kLanes, width - j);
      store(start + j, epilogue.bias ? add(load_lanes(epilogue.bias + column + j, lanes), zero()) : zero());
    }
    tile.c = c + block.rows.begin * c_stride + column;
    multiply_columns(tile, rows, {column, column + width}, depth, b, scratch);
    activate_rows(tile.c, c_stride, rows, width, epilogue);
    column += width;
  }
}

// The block of c = epilogue(a * b). `scratch` has scratch_floats(depth).
inline void multiply_block(Block block, size_t depth, Operand a, const StridedFactor& b, float* c, size_t c_stride,
                           const Epilogue& epilogue, float* scratch) {
  if (block.rows.size() == 0) return;
  if (!epilogue.continues && is_narrow(block.rows.size(), block.columns.size(), a.row_stride)) {
    const StridedFactor transposed_a = {a.data, a.row_stride, a.depth_stride};
    return multiply_narrow(block, depth, transposed_a, b, c, c_stride, epilogue, scratch);
  }
  multiply_wide(block, depth, a, b, c, c_stride, epilogue, scratch);
}

inline void multiply_block(Block block, size_t depth, Operand a, const TransposedMatrix& b, float* c, size_t c_stride,
                           const Epilogue& epilogue, float* scratch) {
  if (block.rows.size() > 0) multiply_wide(block, depth, a, b, c, c_stride, epilogue, scratch);
}

// By columns where there are enough of them: each thread then packs its own part of a transposed factor.
void matmul(const MatmulArgs& args, Slice slice) {
  const Operand a = {args.a, args.transpose_a ? 1 : args.k, args.transpose_a ? args.m : 1};
  const StridedFactor b = {args.b, args.transpose_b ? args.k : 1, args.transpose_b ? 1 : args.n};
  multiply_block(share_matrix(args.m, args.n, 1, slice), args.k, a, b, args.output, args.n, kPlain, slice.scratch);
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_MATMUL_INL_H_
