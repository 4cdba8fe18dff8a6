#include "thread_budget.h"

#include <algorithm>

namespace mnist_train {

// Never destroyed: threads of sessions may outlast what the process destroys at its end.
ThreadBudget& ThreadBudget::of_process() {
  static ThreadBudget& budget = *new ThreadBudget();
  return budget;
}

size_t ThreadBudget::threads() {
  std::lock_guard<std::mutex> lock(mutex_);
  return threads_;
}

size_t ThreadBudget::waiting() {
  std::lock_guard<std::mutex> lock(mutex_);
  return waiting_.size();
}

void ThreadBudget::set(size_t threads) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    threads_ = threads;
    set_ = true;
    most_at_work_.store(at_work_.load());
  }
  changed_.notify_all();
}

void ThreadBudget::set_default(size_t threads) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (set_) return;
    threads_ = threads;
    set_ = true;
  }
  changed_.notify_all();
}

size_t ThreadBudget::take(size_t wanted, uint64_t* place, const Patience& patience) {
  size_t granted = 0;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (*place == 0) *place = ++last_place_;
    waiting_.insert(*place);
    const auto its_turn = [&] { return *waiting_.begin() == *place && free_threads() > 0; };
    changed_.wait(lock, [&] { return patience.cancelled.load() || patience.more_urgent.load() > 0 || its_turn(); });
    if (its_turn() && !patience.cancelled.load()) {
      const size_t fair = threads_ / (runs_ + waiting_.size());
      granted = std::min({wanted, std::max(fair, size_t{1}), free_threads()});
      taken_ += granted;
      runs_++;
    }
    waiting_.erase(*place);
    if (granted > 0) *place = 0;
  }
  changed_.notify_all();  // somebody else is the first now
  return granted;
}

size_t ThreadBudget::take_free(size_t wanted) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t granted = waiting_.empty() ? std::min(wanted, free_threads()) : 0;
  taken_ += granted;
  return granted;
}

void ThreadBudget::give_back(size_t threads) {
  if (threads == 0) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    taken_ -= threads;
  }
  changed_.notify_all();
}

void ThreadBudget::end_turn(size_t threads) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    taken_ -= threads;
    runs_--;
  }
  changed_.notify_all();
}

void ThreadBudget::look_again() {
  // Whoever is between its look at the flags and its sleep holds the mutex.
  {
    std::lock_guard<std::mutex> lock(mutex_);
  }
  changed_.notify_all();
}

ThreadBudget::AtWork::AtWork() {
  ThreadBudget& budget = of_process();
  const size_t now = budget.at_work_.fetch_add(1) + 1;
  size_t most = budget.most_at_work_.load();
  while (now > most && !budget.most_at_work_.compare_exchange_weak(most, now)) continue;
}

ThreadBudget::AtWork::~AtWork() { of_process().at_work_.fetch_sub(1); }

}  // namespace mnist_train
