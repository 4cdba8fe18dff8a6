// The operations that programs consist of: how each is encoded, checked and run.
#ifndef MNIST_TRAIN_ENGINE_OPS_H_
#define MNIST_TRAIN_ENGINE_OPS_H_

#include "../kernels/kernels.h"
#include "program.h"

namespace mnist_train {

// Samples that a run reads, in native memory.
struct DataView {
  const uint8_t* bytes = nullptr;  // pixels, or
  const float* floats = nullptr;   // values, or
  SparseRows sparse = {};          // lists of either
  size_t columns = 0;
  const int32_t* classes = nullptr;  // class indices, or
  const float* targets = nullptr;    // values
  size_t target_columns = 0;
  size_t count = 0;
};

// What an op sees while a step runs.
struct StepContext {
  const Program* program;
  const Section* section;
  const KernelTable* kernels;
  char* regions[kRegionCount];
  const DataView* data;
  const uint32_t* order;  // of this step; null where there are no data
  uint32_t first_index;   // added to a sample's index where random numbers are drawn by it
  const float* scalars;   // of this step
  size_t rows;
  RowMetrics* metrics;
  SparseRows sparse;  // the step's samples, where they are lists: what sparse buffers stand for
  ListRoom room;      // this member's; empty outside training

  template <class T>
  T* pointer(int buffer) const {
    if (buffer == kNoBuffer) return nullptr;
    const Buffer& b = program->buffers[static_cast<size_t>(buffer)];
    return reinterpret_cast<T*>(regions[b.region] + b.offset);
  }
  const Buffer& buffer(int index) const { return program->buffers[static_cast<size_t>(index)]; }
  size_t rows_of(int index) const { return buffer(index).batched ? rows : buffer(index).rows; }
  MatrixLayout layout_of(int index) const {
    if (index == kNoBuffer) return MatrixLayout();
    return {buffer(index).rows, buffer(index).columns, buffer(index).layout_parts};
  }
};

// How the members of a team divide what an op touches of a buffer: see kernels/partition.h.
enum class Share {
  kAll,         // not in a way that other ops follow
  kRows,        // rows of a batch
  kWeightRows,  // rows, in grains
  kColumns,
  kParts,     // rows of a batch, in grains of kSamplesPerPart
  kElements,  // elements of a row-major matrix, see share_elements()
  kFirst,     // the first member has it to itself
};

struct Access {
  int buffer;
  Share share;
  bool writes;
};

// For whom accesses are asked: the members of the team, and whether sparse buffers hold lists in this run.
struct Team {
  size_t members;
  bool lists;
};

struct OpKind {
  const char* name;
  // A letter per field, in the order of OP_FIELDS in src/program/ops.ts: r reads a buffer, w writes one, u updates one,
  // v is a value; capital letters may be absent.
  const char* fields;
  // Null when the op is sound, else what is wrong with it.
  const char* (*check)(const Program& program, const Op& op);
  void (*run)(const StepContext& context, const Op& op, Slice slice);
  // Floats of scratch memory per thread; null for none.
  size_t (*scratch)(const Program& program, const Op& op);
  // True for ops that read the bound data or report metrics: they make no sense in an infer section.
  bool needs_data;
  // The place among the op's buffers that may be sparse, or -1.
  int sparse_field;
  // What the members of a team touch; null: everybody may touch all of the op's buffers. Updates that a denseBackward
  // has absorbed are part of it.
  void (*accesses)(const Program& program, const Section& section, const Op& op, Team team, std::vector<Access>* list);
  // Whether the op divides batches by parts, so that every other op had better do so with the same buffers.
  bool by_parts = false;
  // Whether it reports the metrics of the step's rows, each member those of its share of the rows.
  bool reports = false;
  // Whether a denseBackward may absorb it: an update of the parameter, buffer 0, by the gradient, buffer 1.
  bool is_update = false;
  // The places of buffers, as digits, that the last buffer may be the same as: of ops that compute each element from
  // those in its own place. Buffers that an op writes are otherwise apart from all others.
  const char* in_place = nullptr;
};

// Ops of one subject, a file each.
struct OpGroup {
  const OpKind* kinds;
  size_t count;
};
extern const OpGroup kMatrixOps;       // ops.cc
extern const OpGroup kConvolutionOps;  // ops_convolution.cc
extern const OpGroup kElementwiseOps;  // ops_elementwise.cc
extern const OpGroup kPoolingOps;      // ops_pooling.cc
extern const OpGroup kBatchNormOps;    // ops_batch_norm.cc
extern const OpGroup kOptimizerOps;    // ops_optimizers.cc
extern const OpGroup kWeightOps;       // ops_weights.cc
extern const OpGroup kAugmentOps;      // ops_augment.cc
extern const OpGroup kLossOps;         // ops_losses.cc

// The update that an op of the running section makes; none for kNoOp.
Update update_of(const StepContext& context, int index);
// What an update touches, when it takes this share of the parameter, the gradient and the slots.
void touch_update(const Op& op, Share share, std::vector<Access>* list);

// All of them; `index` counts through the groups.
size_t op_kind_count();
const OpKind& op_kind(size_t index);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_OPS_H_
