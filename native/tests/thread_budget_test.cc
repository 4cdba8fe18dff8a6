// The process's thread budget: shares, first come first served, waits that end early; and threads that cannot be
// started.
#include "../engine/thread_budget.h"

#include <atomic>
#include <thread>

#include "../engine/job_queue.h"
#include "../engine/thread_team.h"
#include "check.h"

namespace mnist_train {
namespace test {
namespace {

const std::atomic<bool> kNever{false};
const std::atomic<size_t> kNothing{0};
constexpr ThreadBudget::Patience kPatient = {kNever, kNothing};

void test_shares() {
  ThreadBudget budget;
  uint64_t place = 0;
  CHECK(budget.threads() == kMostThreads);
  budget.set_default(5);
  budget.set_default(7);
  CHECK(budget.threads() == 5);
  budget.set(8);
  CHECK(budget.take(3, &place, kPatient) == 3);  // what it wants
  CHECK(budget.take(8, &place, kPatient) == 4);  // half of the budget
  CHECK(budget.take(8, &place, kPatient) == 1);  // what is free
  CHECK(budget.take_free(4) == 0);
  budget.end_turn(3);
  CHECK(budget.take_free(2) == 2);
  CHECK(budget.take(8, &place, kPatient) == 1);
  budget.give_back(2);
  budget.set(2);  // less than is taken: nothing is free until enough came back
  CHECK(budget.take_free(1) == 0);
  budget.end_turn(4);
  budget.end_turn(1);
  CHECK(budget.take_free(2) == 1);
}

// Waits on a thread of its own. Where it stands in the queue is settled when the constructor returns.
class Waiter {
 public:
  Waiter(ThreadBudget* budget, uint64_t place = 0) : budget_(budget), place_(place) {
    const size_t before = budget->waiting();
    thread_ = std::thread([this] { granted_.store(static_cast<int>(budget_->take(1, &place_, {cancelled, urgent}))); });
    while (budget->waiting() == before) std::this_thread::yield();
  }
  // What it got; waits for it.
  int granted() {
    if (thread_.joinable()) thread_.join();
    return granted_.load();
  }
  bool waits() const { return granted_.load() < 0; }
  uint64_t place() const { return place_; }

  std::atomic<bool> cancelled{false};
  std::atomic<size_t> urgent{0};

 private:
  ThreadBudget* const budget_;
  uint64_t place_;
  std::atomic<int> granted_{-1};
  std::thread thread_;
};

void test_order() {
  ThreadBudget budget;
  budget.set(1);
  uint64_t place = 0;
  CHECK(budget.take(1, &place, kPatient) == 1);
  Waiter first(&budget), second(&budget), third(&budget);
  CHECK(budget.take_free(1) == 0);
  for (Waiter* next : {&first, &second, &third}) {
    CHECK(next->waits());
    budget.end_turn(1);
    CHECK(next->granted() == 1);
    // The thread is the next one's, and only that one's: the others wait on.
    CHECK(budget.take_free(1) == 0);
  }
  CHECK(budget.waiting() == 0);
  budget.end_turn(1);
  CHECK(budget.take_free(1) == 1);
}

void test_waits_that_end() {
  ThreadBudget budget;
  budget.set(1);
  uint64_t place = 0;
  CHECK(budget.take(1, &place, kPatient) == 1);
  Waiter cancelled(&budget), urgent(&budget), patient(&budget);
  cancelled.cancelled.store(true);
  budget.look_again();
  CHECK(cancelled.granted() == 0);
  urgent.urgent.store(1);
  budget.look_again();
  CHECK(urgent.granted() == 0);
  CHECK(patient.waits());
  // Whoever gave way comes back to its place, before those that came later.
  CHECK(urgent.place() > 0);
  Waiter again(&budget, urgent.place());
  budget.end_turn(1);
  CHECK(again.granted() == 1 && again.place() == 0);
  CHECK(patient.waits());
  budget.end_turn(1);
  CHECK(patient.granted() == 1);
  budget.end_turn(1);
  // What is urgent is no reason while there are threads; a signal is.
  const std::atomic<bool> yes{true};
  const std::atomic<size_t> one{1};
  CHECK(budget.take(1, &place, {yes, kNothing}) == 0);
  CHECK(budget.take(1, &place, {kNever, one}) == 1);
}

// A greater budget reaches those that wait.
void test_set_wakes() {
  ThreadBudget budget;
  budget.set(1);
  uint64_t place = 0;
  CHECK(budget.take(1, &place, kPatient) == 1);
  Waiter waiter(&budget);
  budget.set(2);
  CHECK(waiter.granted() == 1);
}

#if defined(__GLIBC__)
// For as long as it lives, the system cannot start a thread: none has room for such a stack.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size_t{1} << 60);
    CHECK(pthread_setattr_default_np(&attributes) == 0);
    pthread_attr_destroy(&attributes);
  }
  ~NoThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

size_t calls_of(ThreadTeam* team, size_t count) {
  std::atomic<size_t> calls{0};
  team->run(count, [](size_t, void* argument) { static_cast<std::atomic<size_t>*>(argument)->fetch_add(1); }, &calls);
  return calls.load();
}

void test_threads_that_do_not_start() {
  ThreadTeam team(4);
  CHECK(team.muster(2) == 2);
  CHECK(calls_of(&team, 2) == 2);
  {
    const NoThreads none;
    CHECK(team.muster(4) == 2);
    CHECK(calls_of(&team, 2) == 2);
    ThreadTeam lonely(3);
    CHECK(lonely.muster(3) == 1);
    CHECK(calls_of(&lonely, 1) == 1);
    JobQueue queue([](Job*, void*) {}, nullptr);
    CHECK(!queue.start());
  }
  CHECK(team.muster(4) == 4);
  // Members that are not of a round stay out of it.
  for (const size_t count : {size_t{4}, size_t{1}, size_t{3}, size_t{2}, size_t{4}})
    CHECK(calls_of(&team, count) == count);
}
#else
void test_threads_that_do_not_start() {}
#endif

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train::test;
  test_shares();
  test_order();
  test_waits_that_end();
  test_set_wakes();
  test_threads_that_do_not_start();
  return report("thread_budget_test");
}
