#include "engine.h"

#include <string.h>

#include <chrono>
#include <cmath>
#include <new>
#include <utility>

#include "../kernels/partition.h"

namespace mnist_train {
namespace {

using Clock = std::chrono::steady_clock;

// Steps that take longer than this are run with care, and then ops are cut into pieces of about so long.
constexpr double kLongStep = 0.005, kPiece = 0.003;
// Multiply-adds of a member in a second, for steps that nobody has measured yet: less than most processors manage.
constexpr double kEstimatedSpeed = 2e10;
constexpr Region kState[] = {kParameters, kSlots};

size_t rounded_up(size_t value, size_t grain) { return (value + grain - 1) / grain * grain; }

}  // namespace

// Room for lists, for each member: of the samples' columns where they may be lists themselves, and, unless batches are
// too large for that, of the rows and columns of the widest batch that a dense layer of training reads, input or
// gradient. Pages that nobody touches cost nothing.
bool Engine::open_list_rooms() {
  constexpr size_t kMostRowEntries = size_t{1} << 22;
  const size_t capacity = program_.sections[kTrainSection].capacity;
  size_t columns = 0, sparse_columns = 0;
  for (const Op& op : program_.sections[kTrainSection].ops) {
    if (op.kind->sparse_field < 0) continue;
    for (const int index : op.buffers) {
      if (index == kNoBuffer) continue;
      const Buffer& b = program_.buffers[static_cast<size_t>(index)];
      if (b.batched) columns = larger(columns, b.columns);
      if (b.sparse) sparse_columns = larger(sparse_columns, b.columns);
    }
  }
  const bool with_rows = columns * capacity <= kMostRowEntries;
  if (!with_rows) columns = sparse_columns;
  // One cache line more than the capacity: lists a power of two apart would share a few sets of the cache.
  const size_t stride = rounded_up(capacity, 16) + 16;
  const size_t column_bytes = columns * stride * sizeof(NonZero), ends_bytes = columns * sizeof(void*);
  const size_t starts_bytes = with_rows ? (capacity + 1) * sizeof(size_t) : 0;
  const size_t row_bytes = with_rows ? (columns * capacity + kRoomBehindLists) * sizeof(NonZero) : 0;
  for (size_t member = 0; member < threads(); member++) {
    list_memory_.emplace_back(new (std::nothrow) AlignedMemory());
    AlignedMemory* const memory = list_memory_.back().get();
    if (!memory || !memory->allocate(column_bytes + ends_bytes + starts_bytes + row_bytes)) return false;
    char* const ends = memory->data() + column_bytes;
    char* const starts = ends + ends_bytes;
    NonZero* const rows = with_rows ? reinterpret_cast<NonZero*>(starts + starts_bytes) : nullptr;
    list_rooms_.push_back(
        {memory->data(), stride, reinterpret_cast<void**>(ends), rows, reinterpret_cast<size_t*>(starts)});
    memory_bytes_ += memory->size();
  }
  return true;
}

Engine::Engine() = default;
Engine::~Engine() = default;

bool Engine::open(Program program, const KernelTable* kernels, size_t threads) {
  program_ = std::move(program);
  if (program_.sections[kTrainSection].capacity > kMostPixelIndices) {
    for (Buffer& b : program_.buffers) b.sparse = false;  // a row would not fit in a list's entry
  }
  schedule(&program_, threads);
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
  estimate_care();
  return open_list_rooms() && open_lanes() && publish();
}

bool Engine::accessible(const Buffer& buffer) const {
  return buffer.region != kEvaluate && buffer.region != kInfer && !buffer.sparse;
}

void Engine::read(const Buffer& buffer, float* values) const {
  copy_out(buffer, regions_[buffer.region].data(), values);
}

void Engine::read_published(const std::vector<const Buffer*>& buffers, float* values) {
  const Published parameters(this);
  for (const Buffer* buffer : buffers) {
    copy_out(*buffer, parameters.data(), values);
    values += buffer->elements();
  }
}

void Engine::copy_out(const Buffer& buffer, const char* region, float* values) {
  const char* const data = region + buffer.offset;
  if (buffer.type == ElementType::kInt32) {
    const int32_t* const integers = reinterpret_cast<const int32_t*>(data);
    for (size_t i = 0; i < buffer.elements(); i++) values[i] = static_cast<float>(integers[i]);
    return;
  }
  const float* const stored = reinterpret_cast<const float*>(data);
  for_columns(
      {buffer.rows, buffer.columns, buffer.layout_parts}, {0, buffer.columns}, buffer.columns, [&](const Columns& c) {
        for (size_t row = 0; row < buffer.rows; row++) {
          memcpy(values + row * buffer.columns + c.column, stored + c.offset + row * c.stride, c.width * sizeof(float));
        }
      });
}

void Engine::write(const Buffer& buffer, const float* values) {
  char* const data = regions_[buffer.region].data() + buffer.offset;
  if (buffer.type == ElementType::kInt32) {
    int32_t* const integers = reinterpret_cast<int32_t*>(data);
    for (size_t i = 0; i < buffer.elements(); i++) {
      // A float outside int32 has no conversion; such a class does not exist anyway.
      const bool fits = values[i] >= -2147483648.0f && values[i] < 2147483648.0f;
      integers[i] = fits ? static_cast<int32_t>(values[i]) : -1;
    }
    return;
  }
  float* const stored = reinterpret_cast<float*>(data);
  for_columns(
      {buffer.rows, buffer.columns, buffer.layout_parts}, {0, buffer.columns}, buffer.columns, [&](const Columns& c) {
        for (size_t row = 0; row < buffer.rows; row++) {
          memcpy(stored + c.offset + row * c.stride, values + row * buffer.columns + c.column, c.width * sizeof(float));
        }
      });
}

// What is finite gives 0 times itself, so that the sum of that is 0 too: no branches, and bits do not matter.
bool Engine::parameters_are_finite() const {
  const float* const values = reinterpret_cast<const float*>(regions_[kParameters].data());
  constexpr size_t kLanes = 16;
  const size_t count = regions_[kParameters].size() / sizeof(float);
  float sums[kLanes] = {};
  for (size_t i = 0; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; lane++) sums[lane] += values[i + lane] * 0.0f;
  }
  for (size_t i = count / kLanes * kLanes; i < count; i++) sums[0] += values[i] * 0.0f;
  for (const float sum : sums) {
    if (!(sum == 0)) return false;
  }
  return true;
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
    const int sparse = op.kind->sparse_field < 0 ? kNoBuffer : op.buffers[op.kind->sparse_field];
    if (sparse != kNoBuffer && run.data && program_.buffers[static_cast<size_t>(sparse)].sparse &&
        run.data->view.columns != program_.buffers[static_cast<size_t>(sparse)].columns) {
      return "the data's samples do not have the input's size";
    }
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
  size_t threads;    // that work on it
  size_t parts;      // that ops are cut into: 1 for a thread alone, else one for each member of the team
  bool lists;        // the samples are lists
  size_t last_meet;  // the op of the section before which its last barrier is; none: the barrier is at the end
  bool ends_when_diverged;
  size_t first, last;
  Clock::time_point begin;        // when all members were there, and
  size_t parks;                   // how often somebody had parked until then: waking the team is not contention
  bool careful;                   // see Engine::Care
  std::atomic<bool> kept;         // the copy that the step in flight began with is whole
  std::atomic<bool> torn;         // a member left out a piece of the step in flight: it does not count
  bool stop[2];                   // behind the even and the odd steps
  std::atomic<bool> diverged[2];  // likewise: in the step, a row's loss was not finite
};

// The threads of a stretch of a run: from the budget, as far as the system lets the team have them.
class Engine::Turn {
 public:
  Turn(size_t wanted, Run* run, const std::atomic<size_t>& urgent, ThreadTeam* team)
      : granted_(ThreadBudget::of_process().take(wanted, &run->place, {run->cancelled, urgent})),
        threads_(granted_ > 0 ? team->muster(granted_) : 0) {}
  ~Turn() {
    if (granted_ > 0) ThreadBudget::of_process().end_turn(granted_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  size_t threads() const { return threads_; }

 private:
  const size_t granted_, threads_;
};

void Engine::advance(Run* run, double milliseconds) {
  if (run->next_step == run->steps || run->diverged || run->cancelled.load(std::memory_order_relaxed)) return;
  const auto duration =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(milliseconds));
  const size_t first = run->next_step;
  const Turn turn(contention_.alone_left == 0 ? team_->members() : 1, run, predictions_expected_, team_.get());
  if (turn.threads() == 0) return;
  {
    const Published parameters(this);
    Advance advance = {this,
                       run,
                       parameters,
                       Clock::now() + duration,
                       turn.threads(),
                       turn.threads() > 1 ? team_->members() : 1,
                       false,
                       0,
                       run->section == kTrainSection,
                       0,
                       0,
                       {},
                       0,
                       false,
                       {true},
                       {false},
                       {false, false},
                       {{false}, {false}}};
    advance.lists = run->data && holds_lists(run->data->view.sparse);
    const std::vector<Op>& ops = program_.sections[run->section].ops;
    advance.last_meet = ops.size();
    for (size_t i = 0; i < ops.size(); i++) {
      if (!ops[i].absorbed && ops[i].barrier_before[advance.lists]) advance.last_meet = i;
      // What is asked at the last barrier must be known there.
      if (ops[i].kind->reports && advance.ends_when_diverged) advance.last_meet = ops.size();
    }
    Care& care = care_[run->section];
    advance.careful = care.step_seconds > kLongStep && take_care(run->section);
    if (advance.careful) advance.last_meet = ops.size();
    advance.first = advance.last = first;
    team_->run(advance.threads, &Engine::advance_member, &advance);
    const double seconds = std::chrono::duration<double>(Clock::now() - advance.begin).count();
    if (advance.torn.load(std::memory_order_relaxed)) {
      if (run->section == kTrainSection && advance.kept.load(std::memory_order_relaxed)) restore_state();
    } else {
      report_step(run, advance.last);
      run->diverged = advance.diverged[advance.last & 1].load(std::memory_order_relaxed);
      care.step_seconds = seconds / static_cast<double>(run->next_step - advance.first);
    }
    watch_contention(advance.threads, team_->barrier.parks() - advance.parks, run->next_step - advance.first, seconds);
  }
  // A step that does not count leaves nothing new.
  if (run->section == kTrainSection && run->next_step > first) publish();
}

// The most pieces that a member's share of an op can be cut into so that they are shares of a larger team, and together
// this one: a matrix must be divided by columns, or by rows, on both levels.
size_t Engine::most_pieces(const Op& op) const {
  size_t most = 1024;
  for (const int index : op.buffers) {
    if (index == kNoBuffer) continue;
    const size_t columns = program_.buffers[static_cast<size_t>(index)].columns;
    if (divides_columns(columns, team_->members())) most = smaller(most, columns / (kGrain * team_->members()));
  }
  return most;
}

// What products of matrices and convolutions take, by the size of their outputs and the rows of their weights.
void Engine::estimate_care() {
  for (size_t section = 0; section < kSectionCount; section++) {
    Care& care = care_[section];
    for (const Op& op : program_.sections[section].ops) {
      double batch = 0, depth = 1;
      for (const int index : op.buffers) {
        if (index == kNoBuffer) continue;
        const Buffer& b = program_.buffers[static_cast<size_t>(index)];
        if (b.batched)
          batch = batch > static_cast<double>(b.elements()) ? batch : static_cast<double>(b.elements());
        else
          depth = depth > static_cast<double>(b.rows) ? depth : static_cast<double>(b.rows);
      }
      care.op_seconds.push_back(batch * depth / kEstimatedSpeed / static_cast<double>(threads()));
      care.step_seconds += care.op_seconds.back();
    }
  }
}

// Makes ready for steps with care. False when there is no memory for a copy: steps can then only be run to their end.
bool Engine::take_care(SectionId section) {
  for (size_t i = 0; i < 2 && section == kTrainSection; i++) {
    const size_t size = regions_[kState[i]].size();
    if (kept_[i].size() != size && !kept_[i].allocate(size)) return false;
  }
  Care& care = care_[section];
  care.pieces.clear();
  for (size_t i = 0; i < care.op_seconds.size(); i++) {
    const double wanted = care.op_seconds[i] / kPiece + 1;
    const size_t most = most_pieces(program_.sections[section].ops[i]);
    care.pieces.push_back(wanted < static_cast<double>(most) ? static_cast<size_t>(wanted) : most);
  }
  return true;
}

void Engine::run_op(const StepContext& context, const Op& op, size_t index, Slice slice, Advance* advance) {
  if (!advance->careful) return op.kind->run(context, op, slice);
  Care& care = care_[advance->run->section];
  const size_t pieces = care.pieces[index];
  const Clock::time_point begin = Clock::now();
  for (size_t piece = 0; piece < pieces; piece++) {
    if (advance->run->cancelled.load(std::memory_order_relaxed)) {
      advance->torn.store(true, std::memory_order_relaxed);
      return;
    }
    op.kind->run(context, op, {slice.part * pieces + piece, slice.parts * pieces, slice.scratch});
  }
  if (slice.part == 0) care.op_seconds[index] = std::chrono::duration<double>(Clock::now() - begin).count();
}

// Keeps a member's share of the bytes of what steps change, unless the run is cancelled meanwhile: no op runs then.
void Engine::copy_state(Slice slice, Advance* advance) {
  constexpr size_t kAtOnce = size_t{1} << 22;
  for (size_t i = 0; i < 2; i++) {
    const AlignedMemory& region = regions_[kState[i]];
    const Range bytes = share(region.size(), 64, slice);
    for (size_t at = bytes.begin; at < bytes.end; at += kAtOnce) {
      if (advance->run->cancelled.load(std::memory_order_relaxed)) {
        advance->torn.store(true, std::memory_order_relaxed);
        advance->kept.store(false, std::memory_order_relaxed);
        return;
      }
      memcpy(kept_[i].data() + at, region.data() + at, smaller(kAtOnce, bytes.end - at));
    }
  }
}

// Brings back what was kept.
void Engine::restore_state() {
  for (size_t i = 0; i < 2; i++) regions_[kState[i]].swap(&kept_[i]);
}

void Engine::watch_contention(size_t threads, size_t parks, size_t steps, double seconds) {
  // Parks per step, of a few barriers; and too short a stretch tells nothing.
  constexpr double kContended = 0.25, kLeastSeconds = 0.005;
  constexpr size_t kFirstAlone = 4, kMostAlone = 64;
  Contention& c = contention_;
  if (team_->members() == 1 || steps == 0 || seconds < kLeastSeconds) return;
  const double seconds_per_step = seconds / static_cast<double>(steps);
  if (threads > 1) {
    c.team_seconds = seconds_per_step;
    if (static_cast<double>(parks) < kContended * static_cast<double>(steps)) {
      c.next_alone = kFirstAlone;
      c.suspected = false;
    } else if (!c.suspected) {
      c.suspected = true;
    } else {
      c.alone_left = c.next_alone;
      c.next_alone = c.next_alone * 2 < kMostAlone ? c.next_alone * 2 : kMostAlone;
    }
  } else if (c.alone_left > 0) {
    // Large steps may be faster together even so.
    c.alone_left = seconds_per_step > c.team_seconds ? 0 : c.alone_left - 1;
  }
}

// Sums what the samples of a step reported, in their order.
void Engine::report_step(Run* run, size_t step) {
  const size_t rows = run->samples_until(step + 1) - run->samples_until(step);
  const std::vector<RowMetrics>& reported = row_metrics_[step % kMetricSlots];
  double loss = 0, correct = 0;
  for (size_t row = 0; row < rows; row++) {
    loss += reported[row].loss;
    correct += reported[row].correct;
  }
  run->metrics.push_back(loss);
  run->metrics.push_back(correct);
  run->next_step = step + 1;
}

// Whether the losses of a member's rows are finite: then so is their sum, as they are sums of float32 numbers.
bool Engine::all_finite(const Run& run, size_t step, Slice slice) const {
  const Range rows = share(run.samples_until(step + 1) - run.samples_until(step), 1, slice);
  const std::vector<RowMetrics>& reported = row_metrics_[step % kMetricSlots];
  bool finite = true;
  for (size_t row = rows.begin; row < rows.end; row++) finite = finite && std::isfinite(reported[row].loss);
  return finite;
}

// The shares of an op that a thread takes. Where the budget grants fewer threads than the team has members, each takes
// those of several members in turn: between barriers members do not depend on each other. (Shares for another number of
// threads would not do, since matrices are laid out and barriers placed for the team's.)
template <class Visit>
void Engine::for_shares(size_t thread, const Advance& advance, const Visit& visit) const {
  float* const scratch = reinterpret_cast<float*>(scratch_.data());
  for (size_t part = thread; part < advance.parts; part += advance.threads) {
    visit(Slice{part, advance.parts, scratch + part * scratch_stride_});
  }
}

// At the last barrier of a step, every member says before it whether its rows diverged and member 0 whether to stop
// behind this step, and sums behind it what the step before reported. What is passed across it alternates between
// places, since members may be a step apart.
void Engine::meet(size_t step, size_t thread, Advance* advance) {
  Run& run = *advance->run;
  if (advance->ends_when_diverged && !advance->torn.load(std::memory_order_relaxed)) {
    for_shares(thread, *advance, [&](Slice slice) {
      if (!all_finite(run, step, slice)) advance->diverged[step & 1].store(true, std::memory_order_relaxed);
    });
  }
  if (thread == 0) {
    const bool cancelled = run.cancelled.load(std::memory_order_relaxed);
    advance->stop[step & 1] = step + 1 == run.steps || cancelled || Clock::now() >= advance->deadline;
  }
  if (advance->threads > 1) team_->barrier.wait();
  if (thread == 0 && step > advance->first) report_step(&run, step - 1);
}

void Engine::advance_member(size_t thread, void* argument) {
  const ThreadBudget::AtWork at_work;
  Advance& advance = *static_cast<Advance*>(argument);
  Engine& engine = *advance.engine;
  const Run& run = *advance.run;
  const Section& section = engine.program_.sections[run.section];
  Barrier* const barrier = advance.threads > 1 ? &engine.team_->barrier : nullptr;

  StepContext context = {};
  context.program = &engine.program_;
  context.section = &section;
  context.kernels = engine.kernels_;
  for (size_t region = 0; region < kRegionCount; region++) context.regions[region] = engine.regions_[region].data();
  if (run.section == kEvaluateSection) context.regions[kParameters] = advance.parameters.data();
  context.data = run.data ? &run.data->view : nullptr;
  context.first_index = run.first_index;

  if (barrier) barrier->wait();
  if (thread == 0) {
    advance.begin = Clock::now();
    advance.parks = engine.team_->barrier.parks();
  }
  for (size_t step = advance.first;; step++) {
    const size_t begin = run.samples_until(step), end = run.samples_until(step + 1);
    context.order = run.order.data() + begin;
    context.rows = end - begin;
    if (advance.lists) {
      context.sparse = context.data->sparse;
      context.sparse.order = context.order;
    }
    context.scalars = run.scalars.data() + step * engine.program_.scalars;
    context.metrics = engine.row_metrics_[step % kMetricSlots].data();
    if (advance.careful && run.section == kTrainSection) {
      if (barrier) barrier->wait();
      engine.copy_state({thread, advance.threads, nullptr}, &advance);
      if (barrier) barrier->wait();
    }
    for (size_t i = 0; i < section.ops.size(); i++) {
      const Op& op = section.ops[i];
      if (op.absorbed) continue;
      if (i == advance.last_meet) {
        engine.meet(step, thread, &advance);
      } else if (barrier && op.barrier_before[advance.lists]) {
        barrier->wait();
      }
      engine.for_shares(thread, advance, [&](Slice slice) {
        if (run.section == kTrainSection) context.room = engine.list_rooms_[slice.part];
        engine.run_op(context, op, i, slice, &advance);
      });
    }
    if (advance.last_meet == section.ops.size()) engine.meet(step, thread, &advance);
    if (advance.torn.load(std::memory_order_relaxed)) return;
    if (!advance.stop[step & 1] && !advance.diverged[step & 1].load(std::memory_order_relaxed)) continue;
    if (thread == 0) advance.last = step;
    return;
  }
}

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
