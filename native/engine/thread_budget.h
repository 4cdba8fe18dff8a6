// How many threads work at once in this process, whatever the number of sessions and environments: worker_threads share
// the addon's library, which addon/keep_loaded.h keeps in the process, and so this.
#ifndef MNIST_TRAIN_ENGINE_THREAD_BUDGET_H_
#define MNIST_TRAIN_ENGINE_THREAD_BUDGET_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

namespace mnist_train {

constexpr size_t kMostThreads = 256;

// Runs take threads for a stretch of work and give them back. Each gets its share of the budget, at least one; where
// none is free it waits, first come, first served. With more runs than threads they so take turns, a stretch each.
class ThreadBudget {
 public:
  static ThreadBudget& of_process();

  size_t threads();
  // Threads that are at work go on to the end of their stretch.
  void set(size_t threads);
  // The same, unless somebody has set it before.
  void set_default(size_t threads);

  // What makes a wait end without a thread. Whoever changes one of them calls look_again() afterwards.
  struct Patience {
    const std::atomic<bool>& cancelled;
    const std::atomic<size_t>& more_urgent;  // jobs of the same thread; they are no reason while a thread is free
  };
  // Threads to work with, at most `wanted`, or 0 when patience ended. `place` is 0 at first; it keeps a run's place in
  // the queue for when it comes again after having got none.
  size_t take(size_t wanted, uint64_t* place, const Patience& patience);
  // Threads that nobody else wants now, possibly none.
  size_t take_free(size_t wanted);
  void give_back(size_t threads);
  void end_turn(size_t threads);  // gives back what take() gave
  void look_again();

  // For tests: runs that wait; and the most threads that were at work in runs at once since the budget was last set.
  size_t waiting();
  size_t most_at_work() const { return most_at_work_.load(std::memory_order_relaxed); }
  // A thread of a run, for as long as it is at work.
  class AtWork {
   public:
    AtWork();
    ~AtWork();
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;
  };

 private:
  size_t free_threads() const { return threads_ > taken_ ? threads_ - taken_ : 0; }

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t threads_ = kMostThreads;
  bool set_ = false;
  size_t taken_ = 0;
  size_t runs_ = 0;             // that have threads
  std::set<uint64_t> waiting_;  // places, in their order
  uint64_t last_place_ = 0;
  std::atomic<size_t> at_work_{0}, most_at_work_{0};
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_THREAD_BUDGET_H_
