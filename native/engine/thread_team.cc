#include "thread_team.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace mnist_train {
namespace {

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// A hand-over to a parked thread costs about 5 µs, to a spinning one about 0.5 µs, and a step has a handful of barriers
// within 60 to 300 µs. So many pauses are about 20 µs. A team larger than the machine does not spin at all.
constexpr int kSpins = 2000;

}  // namespace

WaitPoint::WaitPoint(size_t members) : spins_(members <= std::thread::hardware_concurrency() ? kSpins : 0) {}

template <class Done>
void WaitPoint::wait(Done done) {
  for (int spin = 0; spin < spins_; spin++) {
    if (done()) return;
    pause();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  // Sequentially consistent, as are the changes that done() looks at: either wake() sees that somebody is parked, or
  // done() below sees the change.
  parked_.fetch_add(1);
  parks_.fetch_add(1, std::memory_order_relaxed);
  condition_.wait(lock, done);
  parked_.fetch_sub(1);
}

void WaitPoint::wake() {
  if (parked_.load() == 0) return;
  // Whoever is between its look at done() and its sleep holds the mutex.
  {
    std::lock_guard<std::mutex> lock(mutex_);
  }
  condition_.notify_all();
}

void Barrier::wait() {
  if (members_ == 1) return;
  const size_t generation = generation_.load();
  if (arrived_.fetch_add(1) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1);
    point_.wake();
    return;
  }
  point_.wait([&] { return generation_.load() != generation; });
}

ThreadTeam::~ThreadTeam() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  begin_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::run(void (*work)(size_t, void*), void* argument) {
  if (members_ > 1) {
    for (size_t member = threads_.size() + 1; member < members_; member++) {
      threads_.emplace_back([this, member] { member_loop(member); });
    }
    running_.store(members_ - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = work;
      argument_ = argument;
      round_++;
    }
    begin_.notify_all();
  }
  work(0, argument);
  all_returned_.wait([&] { return running_.load() == 0; });
}

void ThreadTeam::member_loop(size_t member) {
  size_t seen = 0;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      begin_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      seen = round_;
    }
    work_(member, argument_);
    if (running_.fetch_sub(1) == 1) all_returned_.wake();
  }
}

}  // namespace mnist_train
