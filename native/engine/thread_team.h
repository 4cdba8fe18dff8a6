// A team of threads that run the same function side by side, meeting at barriers.
#ifndef MNIST_TRAIN_ENGINE_THREAD_TEAM_H_
#define MNIST_TRAIN_ENGINE_THREAD_TEAM_H_

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace mnist_train {

// All members wait until the last one arrives. Waiting spins for a short while and then yields the core, so that the
// team also finishes when it has more members than the machine has cores.
class Barrier {
 public:
  explicit Barrier(size_t members);
  void wait();

 private:
  const size_t members_;
  const int spins_;
  alignas(64) std::atomic<size_t> arrived_{0};
  alignas(64) std::atomic<size_t> generation_{0};
};

// The caller of run() is member 0; the other threads are started by the first run() and parked between runs.
class ThreadTeam {
 public:
  explicit ThreadTeam(size_t members) : barrier(members), members_(members) {}
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  size_t members() const { return members_; }

  // Calls work(member, argument) on every member and returns when all have returned.
  void run(void (*work)(size_t member, void* argument), void* argument);

  // For use by the members inside run().
  Barrier barrier;

 private:
  void member_loop(size_t member);

  const size_t members_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  size_t round_ = 0;
  bool stopping_ = false;
  void (*work_)(size_t, void*) = nullptr;
  void* argument_ = nullptr;
  std::atomic<size_t> running_{0};  // members besides the caller that have not returned yet
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_THREAD_TEAM_H_
