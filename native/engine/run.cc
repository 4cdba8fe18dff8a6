// Training and evaluation: the steps of a run, by a team of threads, with care where they are long.
#include <string.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "../kernels/partition.h"
#include "engine.h"

namespace mnist_train {
namespace {

using Clock = std::chrono::steady_clock;

// Steps that take longer than this are run with care, and then ops are cut into pieces of about so long.
constexpr double kLongStep = 0.005, kPiece = 0.003;
// Multiply-adds of a member in a second, for steps that nobody has measured yet: less than most processors manage.
constexpr double kEstimatedSpeed = 2e10;
constexpr Region kState[] = {kParameters, kSlots};

}  // namespace

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
  Clock::time_point begin;  // when all members were there, and
  size_t parks;             // how often somebody had parked until then: waking the team is not contention
  bool careful;             // see Engine::Care
  bool copies;              // steps begin with a copy of what they change
  std::atomic<bool> kept;   // the copy that the step in flight began with is whole
  // Of the even and the odd steps: a member that is one step behind must not take the other's word for its own.
  std::atomic<bool> torn[2];      // a member left out a piece of the step: it does not count
  bool stop[2];                   // behind the step
  std::atomic<bool> diverged[2];  // in the step, a row's loss was not finite
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
  const bool trains = run->section == kTrainSection;
  const bool were_published = std::exchange(published_as_they_are_, published_as_they_are_ && !trains);
  bool torn = false;
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
                       trains,
                       0,
                       0,
                       {},
                       0,
                       false,
                       trains && run->undo,
                       {true},
                       {{false}, {false}},
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
    advance.careful = care.step_seconds > kLongStep && take_care(run->section, advance.copies);
    if (advance.careful) advance.last_meet = ops.size();
    advance.first = advance.last = first;
    team_->run(advance.threads, &Engine::advance_member, &advance);
    const double seconds = std::chrono::duration<double>(Clock::now() - advance.begin).count();
    torn = advance.torn[0].load(std::memory_order_relaxed) || advance.torn[1].load(std::memory_order_relaxed);
    if (torn) {
      if (advance.copies && advance.kept.load(std::memory_order_relaxed)) restore_state();
    } else {
      report_step(run, advance.last);
      run->diverged = advance.diverged[advance.last & 1].load(std::memory_order_relaxed);
      care.step_seconds = seconds / static_cast<double>(run->next_step - advance.first);
    }
    watch_contention(advance.threads, team_->barrier.parks() - advance.parks, run->next_step - advance.first, seconds);
  }
  // A step that does not count leaves nothing new, or, where it is not undone, nothing good.
  if (!trains || (torn && !run->undo)) return;
  if (run->next_step > first)
    publish(turn.threads());
  else
    published_as_they_are_ = were_published;
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
bool Engine::take_care(SectionId section, bool copies) {
  for (size_t i = 0; i < 2 && copies; i++) {
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

void Engine::run_op(const StepContext& context, size_t index, size_t step, Slice slice, Advance* advance) {
  const Op& op = context.section->ops[index];
  if (!advance->careful) return op.kind->run(context, op, slice);
  Care& care = care_[advance->run->section];
  const size_t pieces = care.pieces[index];
  const Clock::time_point begin = Clock::now();
  for (size_t piece = 0; piece < pieces; piece++) {
    if (advance->run->cancelled.load(std::memory_order_relaxed)) {
      advance->torn[step & 1].store(true, std::memory_order_relaxed);
      return;
    }
    op.kind->run(context, op, {slice.part * pieces + piece, slice.parts * pieces, slice.scratch});
  }
  if (slice.part == 0) care.op_seconds[index] = std::chrono::duration<double>(Clock::now() - begin).count();
}

// Keeps a member's share of the bytes of what steps change, unless the run is cancelled meanwhile: no op runs then.
void Engine::copy_state(size_t step, Slice slice, Advance* advance) {
  constexpr size_t kAtOnce = size_t{1} << 22;
  for (size_t i = 0; i < 2; i++) {
    const AlignedMemory& region = regions_[kState[i]];
    const Range bytes = share(region.size(), 64, slice);
    for (size_t at = bytes.begin; at < bytes.end; at += kAtOnce) {
      if (advance->run->cancelled.load(std::memory_order_relaxed)) {
        advance->torn[step & 1].store(true, std::memory_order_relaxed);
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
  const RowMetrics* const reported = metrics_of(step);
  double loss = 0, correct = 0;
  for (size_t row = 0; row < rows && program_.sections[run->section].reports; row++) {
    loss += reported[row].loss;
    correct += reported[row].correct;
  }
  run->metrics.push_back(loss);
  run->metrics.push_back(correct);
  run->next_step = step + 1;
}

// Whether the losses of a member's rows are finite: then so is their sum, as they are sums of float32 numbers.
bool Engine::all_finite(const Run& run, size_t step, Slice slice) const {
  if (!program_.sections[run.section].reports) return true;
  const Range rows = share(run.samples_until(step + 1) - run.samples_until(step), 1, slice);
  const RowMetrics* const reported = metrics_of(step);
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
  if (advance->ends_when_diverged && !advance->torn[step & 1].load(std::memory_order_relaxed)) {
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
    context.metrics = engine.metrics_of(step);
    if (advance.careful && advance.copies) {
      if (barrier) barrier->wait();
      engine.copy_state(step, {thread, advance.threads, nullptr}, &advance);
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
        engine.run_op(context, i, step, slice, &advance);
      });
    }
    if (advance.last_meet == section.ops.size()) engine.meet(step, thread, &advance);
    if (advance.torn[step & 1].load(std::memory_order_relaxed)) return;
    if (!advance.stop[step & 1] && !advance.diverged[step & 1].load(std::memory_order_relaxed)) continue;
    if (thread == 0) advance.last = step;
    return;
  }
}

}  // namespace mnist_train
