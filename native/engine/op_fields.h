// What the files of ops share: reading an op's fields, checking shapes, saying who touches what.
#ifndef MNIST_TRAIN_ENGINE_OP_FIELDS_H_
#define MNIST_TRAIN_ENGINE_OP_FIELDS_H_

#include "../kernels/partition.h"
#include "ops.h"

namespace mnist_train {

inline const Buffer& buffer_of(const Program& program, const Op& op, size_t field) {
  return program.buffers[static_cast<size_t>(op.buffers[field])];
}

inline bool absent(const Op& op, size_t field) { return op.buffers[field] == kNoBuffer; }

inline bool is_float(const Buffer& b) { return b.type == ElementType::kFloat32; }

inline bool same_shape(const Buffer& a, const Buffer& b) {
  return is_float(a) && is_float(b) && a.rows == b.rows && a.columns == b.columns && a.batched == b.batched;
}

// Whether the buffer is a fixed float32 matrix [rows, columns].
inline bool is_matrix(const Buffer& b, size_t rows, size_t columns) {
  return is_float(b) && !b.batched && b.rows == rows && b.columns == columns;
}

// One row: of several, the layout for a team would not be the order that ops take the elements of a vector in.
inline bool is_vector(const Buffer& b, size_t length) { return is_matrix(b, 1, length); }

inline bool is_batch(const Buffer& b, size_t columns) { return is_float(b) && b.batched && b.columns == columns; }

// Whether the buffer holds so many numbers for each part of its section's samples. It must be in a section's own
// memory, which says what section that is.
inline bool is_parts(const Program& program, const Buffer& b, size_t numbers) {
  if (!is_float(b) || b.batched || b.region < kTrain) return false;
  const size_t parts = parts_of(program.sections[b.region - kTrain].capacity);
  return b.elements() % parts == 0 && b.elements() / parts == numbers;
}

inline const char* check_three_alike(const Program& program, const Op& op) {
  const Buffer& first = buffer_of(program, op, 0);
  const bool alike = same_shape(first, buffer_of(program, op, 1)) && same_shape(first, buffer_of(program, op, 2));
  return alike ? nullptr : "shapes differ";
}

// Whether a value is a whole number within these bounds; NaN is not.
inline bool is_whole(double value, double least, double most) {
  return value >= least && value <= most && value == static_cast<double>(static_cast<uint64_t>(value));
}

inline bool is_flag(double value) { return value == 0 || value == 1; }

constexpr double kMostWord = 4294967295.0;

// Scalars are any numbers: what is no whole word counts as epoch 0.
inline uint32_t epoch_of(float scalar) {
  return is_whole(static_cast<double>(scalar), 0, kMostWord) ? static_cast<uint32_t>(scalar) : 0;
}

inline const char* check_activation(double value) {
  const bool known = is_whole(value, 0, static_cast<double>(Activation::kCount) - 1);
  return known ? nullptr : "unknown activation";
}

inline Activation activation_of(double value) { return static_cast<Activation>(static_cast<int>(value)); }

// NaN is no smoothing.
inline const char* check_smoothing(double smoothing) {
  return smoothing >= 0 && smoothing < 1 ? nullptr : "the label smoothing must be from 0 to below 1";
}

inline const char* check_scalar(const Program& program, double index) {
  const bool known = index >= 0 && index < static_cast<double>(program.scalars) && index == static_cast<size_t>(index);
  return known ? nullptr : "no such scalar";
}

using Accesses = std::vector<Access>;

inline void touch(const Op& op, size_t field, Share share, bool writes, Accesses* list) {
  if (!absent(op, field)) list->push_back({op.buffers[field], share, writes});
}

// How a matrix of so many columns is divided among a team.
inline Share matrix_share(size_t columns, Team team, Share by_rows) {
  return divides_columns(columns, team.members) ? Share::kColumns : by_rows;
}

// How ops that go element by element through a parameter, its gradient and its slots divide them: see share_elements().
// Those are the columns or rows of a dense layer's share where these are one stretch of memory: rows of several panels
// are not.
inline Share update_share(const Buffer& parameter, Team team) {
  if (parameter.layout_parts != team.members) return Share::kElements;
  return matrix_share(parameter.columns, team,
                      parameter.columns <= kPanelColumns ? Share::kWeightRows : Share::kElements);
}

// Every buffer by rows.
inline void accesses_by_rows(const Program&, const Section&, const Op& op, Team, Accesses* list) {
  size_t field = 0;
  for (const char* letter = op.kind->fields; *letter; letter++) {
    if (*letter != 'v') touch(op, field++, Share::kRows, *letter != 'r' && *letter != 'R', list);
  }
}

// Every batch by parts, and what the op makes of each part; what is fixed and read, by all.
inline void accesses_by_parts(const Program& program, const Section&, const Op& op, Team, Accesses* list) {
  size_t field = 0;
  for (const char* letter = op.kind->fields; *letter; letter++) {
    if (*letter == 'v') continue;
    const bool writes = *letter != 'r' && *letter != 'R';
    const bool by_parts = writes || (!absent(op, field) && buffer_of(program, op, field).batched);
    touch(op, field++, by_parts ? Share::kParts : Share::kAll, writes, list);
  }
}

// Fields of one shape: by columns where there are enough of them, unless another op divides them by parts.
inline void accesses_elementwise(const Program& program, const Section&, const Op& op, Team team, Accesses* list) {
  const Buffer& first = buffer_of(program, op, 0);
  const Share share = first.by_parts ? Share::kParts : matrix_share(first.columns, team, Share::kRows);
  size_t field = 0;
  for (const char* letter = op.kind->fields; *letter; letter++) {
    if (*letter != 'v') touch(op, field++, share, *letter == 'w', list);
  }
}

// Whether the op's sparse field is a buffer that stands for lists in this run.
inline bool takes_lists(const Program& program, const Op& op, Team team) {
  return team.lists && buffer_of(program, op, static_cast<size_t>(op.kind->sparse_field)).sparse;
}

// The samples of this step as lists, where the buffer is sparse and they are lists.
inline SparseRows rows_of_buffer(const StepContext& c, int buffer) {
  return c.buffer(buffer).sparse ? c.sparse : SparseRows();
}

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_OP_FIELDS_H_
