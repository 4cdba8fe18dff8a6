#include "thread_team.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include <thread>

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
Thread::Handle this_thread() { return pthread_self(); }
int current_core() { return sched_getcpu(); }

// Where a member is to be woken, given the caller's core and the member's last one (-1: none): on one of its own. A
// team that fills the machine leaves the system nothing to choose; on a larger one only the caller's core is ruled out,
// by taking the `member`-th behind it. False where the system is to choose, or there is but one core.
bool allow_one(Thread::Handle thread, int caller, int last, size_t member, size_t members) {
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
void allow_as(Thread::Handle other) {
  cpu_set_t allowed;
  if (pthread_getaffinity_np(other, sizeof allowed, &allowed) != 0) return;
  pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
}

#else
Thread::Handle this_thread() { return {}; }
int current_core() { return -1; }
bool allow_one(Thread::Handle, int, int, size_t, size_t) { return false; }
void allow_as(Thread::Handle) {}
#endif

}  // namespace

void WaitPoint::set_members(size_t members) {
  static const size_t cores = std::thread::hardware_concurrency();
  spins_ = members <= cores ? kSpins : 0;
}

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

void Barrier::set_members(size_t members) {
  members_ = members;
  point_.set_members(members);
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
    if (other.thread.started()) other.thread.join();
  }
}

size_t ThreadTeam::muster(size_t wanted) {
  size_t count = 1;
  for (; count < wanted && count < members_; count++) {
    Member& other = others_[count - 1];
    if (other.thread.started()) continue;
    other.team = this;
    other.number = count;
    if (!other.thread.start(&ThreadTeam::member_loop, &other)) break;
  }
  return count;
}

void ThreadTeam::run(size_t count, void (*work)(size_t, void*), void* argument) {
  if (count > 1) {
    const int core = current_core();
    for (size_t member = 1; member < count; member++) {
      Member& other = others_[member - 1];
      other.placed = allow_one(other.thread.handle(), core, other.core, member, count);
    }
    barrier.set_members(count);
    all_returned_.set_members(count);
    running_.store(count - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      work_ = work;
      argument_ = argument;
      caller_ = this_thread();
      count_ = count;
      round_++;
    }
    begin_.notify_all();
  }
  work(0, argument);
  if (count > 1) all_returned_.wait([&] { return running_.load() == 0; });
}

void ThreadTeam::member_loop(void* member) {
  Member& own = *static_cast<Member*>(member);
  ThreadTeam& team = *own.team;
  size_t seen = 0;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(team.mutex_);
      team.begin_.wait(lock, [&] { return team.stopping_ || (team.round_ != seen && own.number < team.count_); });
      if (team.stopping_) return;
      seen = team.round_;
    }
    if (own.placed) allow_as(team.caller_);
    own.placed = false;
    team.work_(own.number, team.argument_);
    own.core = current_core();
    if (team.running_.fetch_sub(1) == 1) team.all_returned_.wake();
  }
}

}  // namespace mnist_train
