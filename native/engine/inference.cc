// Inference: each thread takes chunks of samples in a lane with memory of its own.
#include <string.h>

#include <new>

#include "../kernels/partition.h"
#include "engine.h"

namespace mnist_train {

// What one thread needs to infer by itself: the infer section's memory and, for a sparse input, room for its lists.
struct Engine::Lane {
  AlignedMemory memory, scratch, lists, starts;

  bool open(const Program& program) {
    const Section& section = program.sections[kInferSection];
    if (!memory.allocate(program.region_sizes[kInfer])) return false;
    if (!scratch.allocate(program.scratch_floats * sizeof(float))) return false;
    const Buffer& input = program.buffers[static_cast<size_t>(section.input)];
    if (!input.sparse) return true;
    if (!starts.allocate((input.rows + 1) * sizeof(size_t))) return false;
    return lists.allocate((input.elements() + kRoomBehindLists) * sizeof(NonZero));
  }
  size_t bytes() const { return memory.size() + scratch.size() + lists.size() + starts.size(); }
};

// Here, where a lane is known.
Engine::Engine() = default;
Engine::~Engine() = default;

bool Engine::open_lanes() {
  if (!program_.sections[kInferSection].present) return true;
  for (size_t i = 0; i <= team_->members(); i++) {
    lanes_.emplace_back(new (std::nothrow) Lane());
    if (!lanes_.back() || !lanes_.back()->open(program_)) return false;
    memory_bytes_ += lanes_.back()->bytes();
  }
  return true;
}

struct Engine::Inference {
  Engine* engine;
  const uint8_t* bytes;
  const float* floats;
  size_t rows, chunk_rows;
  float* output;
  const Published& parameters;
  bool as_lists;
  std::atomic<size_t> next_row;
};

// Takes chunks of samples until there are none left. Members do not wait for each other: samples are independent, and
// who computes which one changes no bit.
void Engine::infer_in_lane(Inference* inference, Lane* lane) {
  const Section& section = program_.sections[kInferSection];
  StepContext context = {};
  context.program = &program_;
  context.section = &section;
  context.kernels = kernels_;
  context.regions[kParameters] = inference->parameters.data();
  context.regions[kInfer] = lane->memory.data();
  const Slice slice = {0, 1, reinterpret_cast<float*>(lane->scratch.data())};
  const size_t columns = context.buffer(section.input).columns;
  const size_t output_columns = context.buffer(section.output).columns;
  Pixel* const pixels = inference->bytes ? reinterpret_cast<Pixel*>(lane->lists.data()) : nullptr;
  NonZero* const values = inference->bytes ? nullptr : reinterpret_cast<NonZero*>(lane->lists.data());
  size_t* const starts = reinterpret_cast<size_t*>(lane->starts.data());
  for (;;) {
    const size_t begin = inference->next_row.fetch_add(inference->chunk_rows, std::memory_order_relaxed);
    if (begin >= inference->rows) return;
    context.rows = smaller(inference->rows - begin, inference->chunk_rows);
    const uint8_t* bytes = inference->bytes ? inference->bytes + begin * columns : nullptr;
    const float* floats = inference->floats ? inference->floats + begin * columns : nullptr;
    if (inference->as_lists) {
      kernels_->row_lists({bytes, floats, context.rows, columns, pixels, values, starts});
      context.sparse = {pixels, values, starts, nullptr};
    } else {
      kernels_->gather(
          {bytes, floats, SparseRows(), nullptr, context.pointer<float>(section.input), context.rows, columns, false},
          slice);
    }
    for (const Op& op : section.ops) op.kind->run(context, op, slice);
    memcpy(inference->output + begin * output_columns, context.pointer<float>(section.output),
           context.rows * output_columns * sizeof(float));
  }
}

// Whether the input may be lists and so few of these samples' values are not zero that lists pay; looks at some rows.
bool Engine::worth_lists(const uint8_t* bytes, const float* floats, size_t rows) const {
  constexpr size_t kMostRows = 16;
  const Buffer& input = program_.buffers[static_cast<size_t>(program_.sections[kInferSection].input)];
  if (!input.sparse) return false;
  const size_t looked_at = smaller(rows, kMostRows);
  size_t non_zeros = 0;
  for (size_t i = 0; i < looked_at; i++) {
    const size_t begin = rows * i / looked_at * input.columns;
    non_zeros += kernels_->non_zeros(bytes ? bytes + begin : nullptr, floats ? floats + begin : nullptr, input.columns);
  }
  return static_cast<double>(non_zeros) < kSparseDensity * static_cast<double>(looked_at * input.columns);
}

void Engine::infer_member(size_t member, void* argument) {
  Inference* const inference = static_cast<Inference*>(argument);
  inference->engine->infer_in_lane(inference, inference->engine->lanes_[member].get());
}

void Engine::expect_prediction() {
  predictions_expected_.fetch_add(1);
  ThreadBudget::of_process().look_again();
}

void Engine::infer_on_team(const uint8_t* bytes, const float* floats, size_t rows, float* output) {
  constexpr size_t kLeastRows = 16, kChunksPerMember = 4;
  const Published parameters(this);
  const size_t capacity = program_.sections[kInferSection].capacity;
  ThreadBudget& budget = ThreadBudget::of_process();
  const size_t extra = budget.take_free(smaller(team_->members(), (rows + kLeastRows - 1) / kLeastRows) - 1);
  const size_t threads = team_->muster(1 + extra);
  const size_t share = rows / (kChunksPerMember * threads) + 1;
  const size_t wanted = share > kLeastRows ? share : kLeastRows;
  const bool as_lists = worth_lists(bytes, floats, rows);
  Inference inference = {this,   bytes,      floats,   rows, wanted < capacity ? wanted : capacity,
                         output, parameters, as_lists, {0}};
  team_->run(threads, &Engine::infer_member, &inference);
  budget.give_back(extra);
}

void Engine::infer_alone(const uint8_t* bytes, const float* floats, size_t rows, float* output) {
  const Published parameters(this);
  const size_t capacity = program_.sections[kInferSection].capacity;
  const bool as_lists = worth_lists(bytes, floats, rows);
  Inference inference = {this, bytes, floats, rows, capacity, output, parameters, as_lists, {0}};
  infer_in_lane(&inference, lanes_.back().get());
}

}  // namespace mnist_train
