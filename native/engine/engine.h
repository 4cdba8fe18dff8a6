// Runs a program: memory, published weights, training and evaluation step by step, inference. Plain C++; native/addon
// brings it to JavaScript.
#ifndef MNIST_TRAIN_ENGINE_ENGINE_H_
#define MNIST_TRAIN_ENGINE_ENGINE_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data.h"
#include "memory.h"
#include "ops.h"
#include "program.h"
#include "thread_budget.h"
#include "thread_team.h"

namespace mnist_train {

// A run of a section over an order of samples, which may be advanced piece by piece.
struct Run {
  SectionId section = kTrainSection;
  std::shared_ptr<const Data> data;  // null for programs that gather nothing
  std::vector<uint32_t> order;
  size_t batch_size = 0;
  std::vector<float> scalars;  // a row per step
  size_t steps = 0;
  size_t next_step = 0;
  uint32_t first_index = 0;     // see StepContext
  bool undo = true;             // a step that is ended in the middle is undone; else the weights are of no use then
  std::vector<double> metrics;  // loss and correct answers per step
  bool diverged = false;        // a training step's loss was not finite: there are no more steps
  std::atomic<bool> cancelled{false};  // ThreadBudget::look_again() afterwards
  uint64_t place = 0;                  // see ThreadBudget::take()

  size_t samples_until(size_t step) const {
    const size_t samples = step * batch_size;
    return samples < order.size() ? samples : order.size();
  }
};

struct RowRange {
  size_t first = 0;
  size_t count = 0;
};

class Engine {
 public:
  Engine();
  ~Engine();
  // `program` has passed parse_program(). False when there is not enough memory.
  bool open(Program program, const KernelTable* kernels, size_t threads);

  const Program& program() const { return program_; }
  const KernelTable& kernels() const { return *kernels_; }
  size_t threads() const { return team_->members(); }
  size_t memory_bytes() const { return memory_bytes_; }

  // Values of some rows of a buffer, row-major, int32 as floats. Only persistent buffers and the train section's can be
  // read and written, unless they stand for lists; not while a run is being advanced.
  bool accessible(const Buffer& buffer) const;
  void read(const Buffer& buffer, RowRange rows, float* values) const;
  void write(const Buffer& buffer, RowRange rows, const float* values);
  // The values of parameters as they were published last, one buffer behind the other; also while a run is being
  // advanced.
  void read_published(const std::vector<const Buffer*>& buffers, float* values);
  // Not while a run is being advanced.
  bool parameters_are_finite() const;
  // Makes the current parameters those that evaluation and inference read, on so many threads of the team. False when
  // there is not enough memory.
  bool publish(size_t threads = 1);
  // The same a part at a time: copies so many bytes more, and says when it was the last part. Begins anew after a write
  // or a run. Not while a run is being advanced.
  bool publish_part(size_t bytes, bool* published);

  // What a run lacks, or null when it can be advanced.
  const char* check(const Run& run) const;
  // Waits for threads of the process's budget, gives way to a prediction meanwhile (then no step is done), and
  // runs steps for about so many milliseconds, at least one, and publishes the parameters after training. None follows
  // a training step whose summed loss is not finite. A run that is cancelled ends within milliseconds: after the step
  // in flight, or, where steps are long, in the middle of it; parameters and slots are then as before that step. The
  // calling thread is the team's first member; one call at a time.
  void advance(Run* run, double milliseconds);

  // A prediction was posted to the thread that advances runs, and has begun there: a run does not wait for threads
  // between the two.
  void expect_prediction();
  void prediction_begins() { predictions_expected_.fetch_sub(1); }
  // Runs the infer section over `rows` samples of pixels or floats (one of them is null). On the team, as far as nobody
  // else wants its threads, or alone on the calling thread: the two may happen at the same time.
  void infer_on_team(const uint8_t* bytes, const float* floats, size_t rows, float* output);
  void infer_alone(const uint8_t* bytes, const float* floats, size_t rows, float* output);

 private:
  // Holds the parameters published last for as long as it lives. It lets go of them under the mutex, so that publish()
  // can tell whether a block has readers left.
  class Published {
   public:
    explicit Published(Engine* engine);
    ~Published();
    Published(const Published&) = delete;
    Published& operator=(const Published&) = delete;
    char* data() const { return block_->data(); }

   private:
    Engine* const engine_;
    std::shared_ptr<AlignedMemory> block_;
  };
  struct Lane;
  struct Inference;
  struct Advance;
  class Turn;
  static void copy_out(const Buffer& buffer, RowRange rows, const char* region, float* values);
  static void advance_member(size_t member, void* argument);
  static void infer_member(size_t member, void* argument);
  void infer_in_lane(Inference* inference, Lane* lane);
  template <class Visit>
  void for_shares(size_t thread, const Advance& advance, const Visit& visit) const;
  void meet(size_t step, size_t thread, Advance* advance);
  bool all_finite(const Run& run, size_t step, Slice slice) const;
  RowMetrics* metrics_of(size_t step) const {
    return reinterpret_cast<RowMetrics*>(row_metrics_[step % kMetricSlots].data());
  }
  void report_step(Run* run, size_t step);
  void run_op(const StepContext& context, size_t index, size_t step, Slice slice, Advance* advance);
  bool begin_publishing();
  void end_publishing();
  void estimate_care();
  bool take_care(SectionId section, bool copies);
  size_t most_pieces(const Op& op) const;
  void copy_state(size_t step, Slice slice, Advance* advance);
  void restore_state();
  void watch_contention(size_t threads, size_t parks, size_t steps, double seconds);
  bool open_list_rooms();
  bool open_lanes();
  bool worth_lists(const uint8_t* bytes, const float* floats, size_t rows) const;

  Program program_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<ThreadTeam> team_;
  AlignedMemory regions_[kRegionCount];
  std::vector<std::unique_ptr<AlignedMemory>> list_memory_;
  std::vector<ListRoom> list_rooms_;          // by member
  std::vector<std::unique_ptr<Lane>> lanes_;  // one per member, and one for infer_alone()
  AlignedMemory scratch_;                     // one stretch per member
  size_t scratch_stride_ = 0;                 // floats
  // When other programs want the cores, members wait at barriers for each other's time slices, and one thread alone is
  // several times faster. So after two contended stretches the engine goes on alone for some stretches, for longer each
  // time, before it tries the team again. One says nothing yet: threads that were just woken on the same core take
  // milliseconds to part. Bits do not depend on it.
  struct Contention {
    bool suspected = false;
    size_t alone_left = 0;  // stretches
    size_t next_alone = 4;
    double team_seconds = 0;  // per step, in the last stretch of the team
  };
  Contention contention_;
  // Steps that take long are run with care: each op in pieces, with a look at the cancel flag before each, and from a
  // copy of what they change, to come back to. A piece is the work of one member of a larger team, so no bit depends on
  // it.
  struct Care {
    double step_seconds = 0;         // estimated before the first step, then measured
    std::vector<double> op_seconds;  // likewise, by op, of a member
    std::vector<size_t> pieces;      // of each op, in the run that is being advanced
  };
  Care care_[kSectionCount];
  AlignedMemory kept_[2];  // parameters and slots
  static constexpr size_t kMetricSlots = 3;
  AlignedMemory row_metrics_[kMetricSlots];  // of the steps in turn, a RowMetrics for each row
  std::atomic<size_t> predictions_expected_{0};
  size_t memory_bytes_ = 0;

  std::mutex published_mutex_;
  std::shared_ptr<AlignedMemory> published_;
  std::shared_ptr<AlignedMemory> unpublished_;  // the block that publish_part() fills, and how far it is
  size_t published_bytes_ = 0;
  bool published_as_they_are_ = false;  // by publish(), and no parameter was changed since
  bool published_are_finite_ = false;
  std::shared_ptr<AlignedMemory> spare_;  // the block published before, reused when nobody reads it any more
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_ENGINE_H_
