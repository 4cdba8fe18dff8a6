#include "thread_team.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
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

// A hand-over to a parked thread costs about 5 µs, to a spinning one about 0.5 µs, and a step has a few barriers
// within 60 to 300 µs. So many pauses are about 50 µs (Zen 4). A team larger than the machine does not spin at all.
constexpr int kSpins = 2000;

#if defined(__linux__)
using Thread = std::thread::native_handle_type;

Thread this_thread() { return pthread_self(); }
int current_core() { return sched_getcpu(); }

// Where a member is to be woken, given the caller's core and the member's last one (-1: none): on one of its own. A
// team that fills the machine leaves the system nothing to choose; on a larger one only the caller's core is ruled out,
// by taking the `member`-th behind it. False where the system is to choose, or there is but one core.
bool allow_one(Thread thread, int caller, int last, size_t member, size_t members) {
  cpu_set_t allowed, one;
  if (caller < 0 || pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) != 0) return false;
  const size_t cores = static_cast<size_t>(CPU_COUNT(&allowed));
  const bool settled = last >= 0 && last != caller && CPU_ISSET(last, &allowed);
  if (cores < 2 || (settled && cores > members)) return false;
  int next = settled ? last : caller;
  for (size_t step = 0; step < member && !settled; step++) {
    do {
      next = (next + 1) % CPU_SETSIZE;
    } while (!CPU_ISSET(next, &allowed));
  }
  if (next == caller) return false;
  CPU_ZERO(&one);
  CPU_SET(next, &one);
  return pthread_setaffinity_np(thread, sizeof one, &one) == 0;
}

// Allows the calling thread all cores that another one may use.
void allow_as(Thread other) {
  cpu_set_t allowed;
  if (pthread_getaffinity_np(other, sizeof allowed, &allowed) != 0) return;
  pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
}

#else
using Thread = std::thread::native_handle_type;

Thread this_thread() { return {}; }
int current_core() { return -1; }
bool allow_one(Thread, int, int, size_t, size_t) { return false; }
void allow_as(Thread) {}
#endif

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
  for (Member& other : others_) {
    if (other.thread.joinable()) other.thread.join();
  }
}

void ThreadTeam::run(void (*work)(size_t, void*), void* argument) {
  if (members_ > 1) {
    const int core = current_core();
    for (size_t member = 1; member < members_; member++) {
      Member& other = others_[member - 1];
      if (!other.thread.joinable()) other.thread = std::thread([this, member] { member_loop(member); });
      other.placed = allow_one(other.thread.native_handle(), core, other.core, member, members_);
    }
    running_.store(members_ - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = work;
      argument_ = argument;
      caller_ = this_thread();
      round_++;
    }
    begin_.notify_all();
  }
  work(0, argument);
  all_returned_.wait([&] { return running_.load() == 0; });
}

void ThreadTeam::member_loop(size_t member) {
  Member& own = others_[member - 1];
  size_t seen = 0;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      begin_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      seen = round_;
    }
    if (own.placed) allow_as(caller_);
    own.placed = false;
    work_(member, argument_);
    own.core = current_core();
    if (running_.fetch_sub(1) == 1) all_returned_.wake();
  }
}

}  // namespace mnist_train
