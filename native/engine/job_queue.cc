#include "job_queue.h"

namespace mnist_train {

bool JobQueue::start() { return thread_.started() || thread_.start(&JobQueue::loop, this); }

void JobQueue::post(Job* job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    waiting_.push_back(job);
  }
  wake_.notify_one();
}

void JobQueue::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.started()) thread_.join();
}

void JobQueue::loop(void* argument) {
  JobQueue& queue = *static_cast<JobQueue*>(argument);
  for (;;) {
    Job* job;
    {
      std::unique_lock<std::mutex> lock(queue.mutex_);
      queue.wake_.wait(lock, [&] { return queue.stopping_ || !queue.waiting_.empty(); });
      if (queue.stopping_) return;
      job = queue.waiting_.front();
      queue.waiting_.pop_front();
    }
    job->run();
    queue.done_(job, queue.argument_);
  }
}

}  // namespace mnist_train
