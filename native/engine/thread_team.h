// A team of threads that run the same function side by side, meeting at barriers.
#ifndef MNIST_TRAIN_ENGINE_THREAD_TEAM_H_
#define MNIST_TRAIN_ENGINE_THREAD_TEAM_H_

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "thread.h"

namespace mnist_train {

// Lets threads wait until a condition on atomics holds: spinning for a short while, then parked. Parked threads leave
// their core to the ones they wait for, so a team also gets on when the machine is busy or has fewer cores than
// members.
class WaitPoint {
 public:
  explicit WaitPoint(size_t members) { set_members(members); }
  // Not while anybody waits.
  void set_members(size_t members);
  // Returns when done() is true. Whoever makes it true calls wake() afterwards.
  template <class Done>
  void wait(Done done);
  void wake();
  // How often a thread has parked so far: next to never on an idle machine, at every other barrier on a busy one.
  size_t parks() const { return parks_.load(std::memory_order_relaxed); }

 private:
  int spins_ = 0;
  std::atomic<size_t> parked_{0};
  std::atomic<size_t> parks_{0};
  std::mutex mutex_;
  std::condition_variable condition_;
};

// All members wait until the last one arrives.
class Barrier {
 public:
  explicit Barrier(size_t members) : members_(members), point_(members) {}
  void wait();
  // Not while anybody waits.
  void set_members(size_t members);
  size_t parks() const { return point_.parks(); }

 private:
  size_t members_;
  alignas(64) std::atomic<size_t> arrived_{0};
  alignas(64) std::atomic<size_t> generation_{0};
  WaitPoint point_;
};

// The caller of run() is member 0; the other threads are started when they are first wanted and parked between runs.
//
// A member is woken on another core than the caller's (Linux). Left to itself, the system may keep both on one core for
// tens of milliseconds, when the other core's last thread had not gone to sleep yet as the member was woken: a barrier
// every 50 µs leaves no queue for its balancing to see.
class ThreadTeam {
 public:
  explicit ThreadTeam(size_t members)
      : barrier(members), members_(members), others_(members - 1), all_returned_(members) {}
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  size_t members() const { return members_; }

  // Starts threads where there are fewer than `wanted` members, and says how many there are to work with: fewer when
  // the system has no thread left, at least the caller, at most `wanted`.
  size_t muster(size_t wanted);
  // Calls work(member, argument) on so many members, as muster() has said, and returns when all have returned.
  void run(size_t count, void (*work)(size_t member, void* argument), void* argument);

  // For use by the members inside run().
  Barrier barrier;

 private:
  struct Member {
    ThreadTeam* team = nullptr;
    size_t number = 0;
    Thread thread;
    int core = -1;        // where it ended its last work; -1: nowhere yet, or unknown
    bool placed = false;  // allowed on one core only, until it is awake
  };
  static void member_loop(void* member);

  const size_t members_;
  std::vector<Member> others_;  // member 1 and up
  std::mutex mutex_;
  std::condition_variable begin_;
  size_t round_ = 0;
  size_t count_ = 0;  // the members of this round
  bool stopping_ = false;
  void (*work_)(size_t, void*) = nullptr;
  void* argument_ = nullptr;
  Thread::Handle caller_ = {};
  std::atomic<size_t> running_{0};  // members besides the caller that have not returned yet
  WaitPoint all_returned_;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_THREAD_TEAM_H_
