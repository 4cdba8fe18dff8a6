// A thread of one's own that runs jobs one after the other: never libuv's pool, which has four threads for all of Node.
#ifndef MNIST_TRAIN_ENGINE_JOB_QUEUE_H_
#define MNIST_TRAIN_ENGINE_JOB_QUEUE_H_

#include <condition_variable>
#include <deque>
#include <mutex>

#include "thread.h"

namespace mnist_train {

struct Job {
  virtual ~Job() = default;
  virtual void run() = 0;
};

class JobQueue {
 public:
  // `done` is called on the queue's thread after each job.
  JobQueue(void (*done)(Job*, void*), void* argument) : done_(done), argument_(argument) {}
  ~JobQueue() { stop(); }
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  // Starts the thread, unless it runs already. False when the system has none left.
  bool start();
  // Once start() has succeeded. The job belongs to the caller, who must keep it until it is done.
  void post(Job* job);
  // Waits for the job that is running; jobs that have not begun never run. Nothing may be posted afterwards.
  void stop();

 private:
  static void loop(void* queue);

  void (*const done_)(Job*, void*);
  void* const argument_;
  Thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job*> waiting_;
  bool stopping_ = false;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_JOB_QUEUE_H_
