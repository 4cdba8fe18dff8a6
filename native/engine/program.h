// A program as the engine holds it: sections of operations over planned buffers. src/program describes the same thing
// in TypeScript; src/backends/native/encode.ts writes the words that parse_program() reads.
#ifndef MNIST_TRAIN_ENGINE_PROGRAM_H_
#define MNIST_TRAIN_ENGINE_PROGRAM_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace mnist_train {

// In the order of REGIONS in src/program/plan.ts.
enum Region { kParameters, kSlots, kTrain, kEvaluate, kInfer, kRegionCount };
enum SectionId { kTrainSection, kEvaluateSection, kInferSection, kSectionCount };
enum class ElementType { kFloat32, kInt32 };

struct Buffer {
  Region region;
  ElementType type;
  size_t offset;  // bytes from the region's start, a multiple of 64
  size_t rows, columns;
  bool batched;             // rows is the section's capacity; a step uses its first rows
  bool sparse;              // may be held as lists of non-zeros
  size_t layout_parts = 0;  // see MatrixLayout; set by schedule()
  bool by_parts = false;    // a batch that some op divides by parts; set by schedule()
  size_t elements() const { return rows * columns; }
};

struct OpKind;

constexpr size_t kMaxOpBuffers = 10;
constexpr size_t kMaxOpValues = 16;
constexpr int kNoBuffer = -1;
constexpr int kNoOp = -1;

struct Op {
  const OpKind* kind;
  int buffers[kMaxOpBuffers];  // indices into Program::buffers, or kNoBuffer
  double values[kMaxOpValues];
  // Whether all members of a team must have come this far: see schedule(). For samples that are dense, and for lists.
  bool barrier_before[2];
  // For denseBackward: the ops of the section that update its weights and its bias, whose work it does; kNoOp for none.
  int weights_update, bias_update;
  bool absorbed;  // done by the denseBackward before it
};

struct Section {
  bool present = false;
  size_t capacity = 0;
  int input = kNoBuffer;
  int output = kNoBuffer;
  bool reports = false;  // whether one of the ops is a loss, which reports the metrics of rows
  std::vector<Op> ops;
};

struct Program {
  size_t region_sizes[kRegionCount];
  std::vector<Buffer> buffers;
  size_t scalars = 0;         // per step
  size_t scratch_floats = 0;  // per thread
  Section sections[kSectionCount];
};

// Reads and checks a program: after success every access that its ops can make is within its regions. On failure
// returns false and says in `error` what is wrong. Any words are safe to pass.
bool parse_program(const double* words, size_t count, Program* program, std::string* error);

// Prepares a program for a team of so many members: lays out for them what they share by columns, and places barriers.
void schedule(Program* program, size_t members);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_PROGRAM_H_
