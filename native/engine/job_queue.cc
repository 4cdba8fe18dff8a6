#include "job_queue.h"

namespace mnist_train {

void JobQueue::post(Job* job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    waiting_.push_back(job);
  }
  if (thread_.joinable()) {
    wake_.notify_one();
  } else {
    thread_ = std::thread([this] { loop(); });
  }
}

void JobQueue::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void JobQueue::loop() {
  for (;;) {
    Job* job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      job = waiting_.front();
      waiting_.pop_front();
    }
    job->run();
    done_(job, argument_);
  }
}

}  // namespace mnist_train
