#include "engine.h"

#include <string.h>

#include <chrono>
#include <new>
#include <utility>

namespace mnist_train {
namespace {

using Clock = std::chrono::steady_clock;

void run_ops(const Section& section, const StepContext& context, Slice slice, Barrier* barrier) {
  for (const Op& op : section.ops) {
    if (op.absorbed) continue;
    if (op.barrier_before && barrier) barrier->wait();
    op.kind->run(context, op, slice);
  }
}

size_t rounded_up(size_t value, size_t grain) { return (value + grain - 1) / grain * grain; }

// Below this share of values that are not zero, lists are faster than full products (docs/performance.md).
constexpr double kSparseDensity = 0.4;

}  // namespace

bool worth_lists(const uint8_t* bytes, const float* floats, size_t rows, size_t columns) {
  constexpr size_t kMostRows = 64;
  const size_t looked_at = rows < kMostRows ? rows : kMostRows;
  size_t non_zeros = 0;
  for (size_t i = 0; i < looked_at; i++) {
    const size_t begin = rows * i / looked_at * columns;
    for (size_t j = begin; j < begin + columns; j++) non_zeros += bytes ? bytes[j] != 0 : floats[j] != 0.0f;
  }
  return static_cast<double>(non_zeros) < kSparseDensity * static_cast<double>(looked_at * columns);
}

bool SparseLists::allocate(size_t capacity, size_t columns, bool by_column) {
  constexpr size_t kRoom = 16;  // a vector may be stored behind a row's last entry
  batch.columns = columns;
  // One cache line more than the capacity: lists a power of two apart would share a few sets of the cache.
  batch.column_stride = rounded_up(capacity, 8) + 8;
  batch.row_stride = rounded_up(columns, 16) + kRoom;
  batch.chunks = (columns + 15) / 16;
  const size_t rows_bytes = rounded_up(capacity * batch.row_stride * sizeof(NonZero), kAlignment);
  const size_t starts_bytes = rounded_up(capacity * (batch.chunks + 1) * sizeof(uint32_t), kAlignment);
  const size_t columns_bytes = by_column ? rounded_up(columns * batch.column_stride * sizeof(NonZero), kAlignment) : 0;
  const size_t ends_bytes = by_column ? rounded_up(columns * sizeof(NonZero*), kAlignment) : 0;
  if (!memory.allocate(rows_bytes + starts_bytes + columns_bytes + ends_bytes)) return false;
  char* p = memory.data();
  batch.by_row = reinterpret_cast<NonZero*>(p);
  batch.chunk_starts = reinterpret_cast<uint32_t*>(p += rows_bytes);
  batch.by_column = reinterpret_cast<NonZero*>(p += starts_bytes);
  batch.column_ends = reinterpret_cast<NonZero**>(p += columns_bytes);
  return true;
}

bool Engine::open_lists() {
  const size_t count = program_.buffers.size();
  sparse_.assign(count, nullptr);
  for (size_t i = 0; i < count; i++) {
    const Buffer& b = program_.buffers[i];
    if (!b.sparse || b.region == kInfer) continue;
    std::unique_ptr<SparseLists> lists(new (std::nothrow) SparseLists());
    if (!lists || !lists->allocate(b.rows, b.columns, b.region == kTrain)) return false;
    sparse_[i] = &lists->batch;
    memory_bytes_ += lists->memory.size();
    lists_.push_back(std::move(lists));
  }
  return true;
}

Engine::Engine() = default;
Engine::~Engine() = default;

bool Engine::open(Program program, const KernelTable* kernels, size_t threads) {
  program_ = std::move(program);
  kernels_ = kernels;
  team_.reset(new (std::nothrow) ThreadTeam(threads));
  if (!team_) return false;
  memory_bytes_ = 0;
  for (size_t region = 0; region < kRegionCount; region++) {
    if (region == kInfer) continue;  // each lane has its own
    if (!regions_[region].allocate(program_.region_sizes[region])) return false;
    memory_bytes_ += program_.region_sizes[region];
  }
  // A stretch of scratch memory ends on a cache line of its own, so that threads do not share one.
  scratch_stride_ = rounded_up(program_.scratch_floats, 16);
  if (!scratch_.allocate(scratch_stride_ * threads * sizeof(float))) return false;
  memory_bytes_ += scratch_.size() + program_.region_sizes[kParameters];
  const size_t train = program_.sections[kTrainSection].capacity;
  const size_t evaluate = program_.sections[kEvaluateSection].capacity;
  for (auto& metrics : row_metrics_) metrics.assign(train > evaluate ? train : evaluate, RowMetrics{0, 0});
  return open_lists() && open_lanes() && publish();
}

char* Engine::data_of(const Buffer& buffer) {
  if (buffer.region == kEvaluate || buffer.region == kInfer || buffer.sparse) return nullptr;
  return regions_[buffer.region].data() + buffer.offset;
}

bool Engine::publish() {
  std::shared_ptr<AlignedMemory> block;
  {
    std::lock_guard<std::mutex> lock(published_mutex_);
    if (spare_ && spare_.use_count() == 1) block = std::move(spare_);
  }
  const AlignedMemory& parameters = regions_[kParameters];
  if (!block) {
    block.reset(new (std::nothrow) AlignedMemory());
    if (!block || !block->allocate(parameters.size())) return false;
  }
  memcpy(block->data(), parameters.data(), parameters.size());
  std::lock_guard<std::mutex> lock(published_mutex_);
  spare_ = std::move(published_);
  published_ = std::move(block);
  return true;
}

Engine::Published::Published(Engine* engine) : engine_(engine) {
  std::lock_guard<std::mutex> lock(engine->published_mutex_);
  block_ = engine->published_;
}

Engine::Published::~Published() {
  std::lock_guard<std::mutex> lock(engine_->published_mutex_);
  block_.reset();
}

const char* Engine::check(const Run& run) const {
  const Section& section = program_.sections[run.section];
  if (!section.present) return "the program has no such section";
  if (run.batch_size == 0 || run.batch_size > section.capacity)
    return "the batch size is not within the section's capacity";
  if (run.order.empty()) return "the order is empty";
  if (run.scalars.size() != run.steps * program_.scalars) return "there must be one row of scalars per step";
  for (const Op& op : section.ops) {
    if (strcmp(op.kind->name, "gather") != 0) continue;
    if (!run.data) return "the section gathers samples, and no data are bound";
    const DataView& view = run.data->view;
    const Buffer& output = program_.buffers[static_cast<size_t>(op.buffers[0])];
    if (op.values[0] == 0) {
      if (view.columns != output.columns) return "the data's samples do not have the input's size";
    } else if (output.type == ElementType::kInt32) {
      if (view.classes == nullptr || output.columns != 1) return "the section needs class indices as targets";
    } else if (view.targets == nullptr || view.target_columns != output.columns) {
      return "the section needs float targets of the output's size";
    }
  }
  if (run.data) {
    for (const uint32_t index : run.order) {
      if (index >= run.data->view.count) return "the order names a sample that the data do not have";
    }
  }
  return nullptr;
}

struct Engine::Advance {
  Engine* engine;
  Run* run;
  const Published& parameters;  // for evaluation
  Clock::time_point deadline;
  bool together;
  Clock::time_point begin;  // when all members were there, and
  size_t parks;             // how often somebody had parked until then: waking the team is not contention
  bool stop[2];
};

void Engine::advance(Run* run, double milliseconds) {
  const auto duration =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(milliseconds));
  for (const Op& op : program_.sections[run->section].ops) {
    SparseBatch* const batch = op.buffers[0] == kNoBuffer ? nullptr : sparse_[static_cast<size_t>(op.buffers[0])];
    if (batch && run->data) batch->active = run->data->view.sparse;
  }
  {
    const Published parameters(this);
    Advance advance = {
        this, run, parameters,    Clock::now() + duration, team_->members() > 1 && contention_.alone_left == 0,
        {},   0,   {false, false}};
    const size_t first = run->next_step;
    if (advance.together) {
      team_->run(&Engine::advance_member, &advance);
    } else {
      advance_member(0, &advance);
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - advance.begin).count();
    watch_contention(advance.together, team_->barrier.parks() - advance.parks, run->next_step - first, seconds);
  }
  if (run->section == kTrainSection) publish();
}

void Engine::watch_contention(bool together, size_t parks, size_t steps, double seconds) {
  // Parks per step, of about eight barriers; and too short a stretch tells nothing.
  constexpr double kContended = 0.5, kLeastSeconds = 0.005;
  constexpr size_t kFirstAlone = 4, kMostAlone = 64;
  Contention& c = contention_;
  if (team_->members() == 1 || steps == 0 || seconds < kLeastSeconds) return;
  const double seconds_per_step = seconds / static_cast<double>(steps);
  if (together) {
    c.team_seconds = seconds_per_step;
    if (static_cast<double>(parks) < kContended * static_cast<double>(steps)) {
      c.next_alone = kFirstAlone;
    } else {
      c.alone_left = c.next_alone;
      c.next_alone = c.next_alone * 2 < kMostAlone ? c.next_alone * 2 : kMostAlone;
    }
  } else {
    // Large steps may be faster together even so.
    c.alone_left = seconds_per_step > c.team_seconds ? 0 : c.alone_left - 1;
  }
}

// One barrier a step besides those between ops: behind it, everybody knows whether to go on, and member 0 may sum what
// the step before reported. What is passed across it alternates between two places, since a member may be one step
// ahead.
void Engine::advance_member(size_t member, void* argument) {
  Advance& advance = *static_cast<Advance*>(argument);
  Engine& engine = *advance.engine;
  Run& run = *advance.run;
  const Section& section = engine.program_.sections[run.section];
  const size_t first = run.next_step;
  Barrier* const barrier = advance.together ? &engine.team_->barrier : nullptr;

  StepContext context;
  context.program = &engine.program_;
  context.section = &section;
  context.sparse = engine.sparse_.data();
  context.kernels = engine.kernels_;
  for (size_t region = 0; region < kRegionCount; region++) context.regions[region] = engine.regions_[region].data();
  if (run.section == kEvaluateSection) context.regions[kParameters] = advance.parameters.data();
  context.data = run.data ? &run.data->view : nullptr;
  float* scratch = reinterpret_cast<float*>(engine.scratch_.data()) + member * engine.scratch_stride_;
  const Slice slice = {member, advance.together ? engine.team_->members() : 1, scratch};

  if (barrier) barrier->wait();  // everybody has read next_step
  if (member == 0) {
    advance.begin = Clock::now();
    advance.parks = engine.team_->barrier.parks();
  }
  for (size_t step = first;; step++) {
    if (member == 0) {
      const bool enough = step > first && Clock::now() >= advance.deadline;
      advance.stop[step & 1] = enough || step == run.steps || run.cancelled.load(std::memory_order_relaxed);
    }
    if (barrier) barrier->wait();
    if (member == 0 && step > first) {
      const size_t rows = run.samples_until(step) - run.samples_until(step - 1);
      double loss = 0, correct = 0;
      for (size_t row = 0; row < rows; row++) {
        loss += engine.row_metrics_[(step - 1) & 1][row].loss;
        correct += engine.row_metrics_[(step - 1) & 1][row].correct;
      }
      run.metrics.push_back(loss);
      run.metrics.push_back(correct);
      run.next_step = step;
    }
    if (advance.stop[step & 1]) return;
    const size_t begin = run.samples_until(step);
    context.order = run.order.data() + begin;
    context.rows = run.samples_until(step + 1) - begin;
    context.scalars = run.scalars.data() + step * engine.program_.scalars;
    context.metrics = engine.row_metrics_[step & 1].data();
    run_ops(section, context, slice, barrier);
  }
}

// What one thread needs to infer by itself: the infer section's memory and, for a sparse input, its lists.
struct Engine::Lane {
  AlignedMemory memory, scratch;
  SparseLists lists;
  std::vector<SparseBatch*> sparse;  // by buffer

  bool open(const Program& program) {
    const Section& section = program.sections[kInferSection];
    sparse.assign(program.buffers.size(), nullptr);
    if (!memory.allocate(program.region_sizes[kInfer])) return false;
    if (!scratch.allocate(program.scratch_floats * sizeof(float))) return false;
    const Buffer& input = program.buffers[static_cast<size_t>(section.input)];
    if (!input.sparse) return true;
    sparse[static_cast<size_t>(section.input)] = &lists.batch;
    return lists.allocate(input.rows, input.columns, false);
  }
  size_t bytes() const { return memory.size() + scratch.size() + lists.memory.size(); }
};

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
  const size_t input_index = static_cast<size_t>(section.input);
  StepContext context = {};
  context.program = &program_;
  context.section = &section;
  context.kernels = kernels_;
  context.regions[kParameters] = inference->parameters.data();
  context.regions[kInfer] = lane->memory.data();
  context.sparse = lane->sparse.data();
  SparseBatch* const batch = lane->sparse[input_index];
  if (batch) batch->active = inference->as_lists;
  const Slice slice = {0, 1, reinterpret_cast<float*>(lane->scratch.data())};
  const size_t columns = program_.buffers[input_index].columns;
  const size_t output_columns = context.buffer(section.output).columns;
  for (;;) {
    const size_t begin = inference->next_row.fetch_add(inference->chunk_rows, std::memory_order_relaxed);
    if (begin >= inference->rows) return;
    const size_t left = inference->rows - begin;
    context.rows = left < inference->chunk_rows ? left : inference->chunk_rows;
    const uint8_t* bytes = inference->bytes ? inference->bytes + begin * columns : nullptr;
    const float* floats = inference->floats ? inference->floats + begin * columns : nullptr;
    kernels_->gather({bytes, floats, nullptr, context.pointer<float>(section.input), batch, context.rows, columns},
                     slice);
    run_ops(section, context, slice, nullptr);
    memcpy(inference->output + begin * output_columns, context.pointer<float>(section.output),
           context.rows * output_columns * sizeof(float));
  }
}

void Engine::infer_member(size_t member, void* argument) {
  Inference* const inference = static_cast<Inference*>(argument);
  inference->engine->infer_in_lane(inference, inference->engine->lanes_[member].get());
}

void Engine::infer_on_team(const uint8_t* bytes, const float* floats, size_t rows, float* output) {
  constexpr size_t kLeastRows = 16, kChunksPerMember = 4;
  const Published parameters(this);
  const size_t capacity = program_.sections[kInferSection].capacity;
  const size_t share = rows / (kChunksPerMember * team_->members()) + 1;
  const size_t wanted = share > kLeastRows ? share : kLeastRows;
  const bool as_lists = worth_lists(bytes, floats, rows, input_columns());
  Inference inference = {this,   bytes,      floats,   rows, wanted < capacity ? wanted : capacity,
                         output, parameters, as_lists, {0}};
  team_->run(&Engine::infer_member, &inference);
}

void Engine::infer_alone(const uint8_t* bytes, const float* floats, size_t rows, float* output) {
  const Published parameters(this);
  const size_t capacity = program_.sections[kInferSection].capacity;
  const bool as_lists = worth_lists(bytes, floats, rows, input_columns());
  Inference inference = {this, bytes, floats, rows, capacity, output, parameters, as_lists, {0}};
  infer_in_lane(&inference, lanes_.back().get());
}

size_t Engine::input_columns() const {
  return program_.buffers[static_cast<size_t>(program_.sections[kInferSection].input)].columns;
}

}  // namespace mnist_train
