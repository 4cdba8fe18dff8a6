// A thread whose start can fail. std::thread throws then, which ends the process where exceptions are off.
#ifndef MNIST_TRAIN_ENGINE_THREAD_H_
#define MNIST_TRAIN_ENGINE_THREAD_H_

#if defined(_WIN32)
#include <thread>
#else
#include <pthread.h>
#endif

namespace mnist_train {

// It must stay where it is between start() and join().
class Thread {
 public:
#if defined(_WIN32)
  using Handle = std::thread::native_handle_type;
#else
  using Handle = pthread_t;
#endif

  Thread() = default;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Runs work(argument). False when the system has no thread left, or no memory for its stack.
  bool start(void (*work)(void*), void* argument);
  bool started() const { return started_; }
  void join();
  Handle handle();

 private:
  bool started_ = false;
#if defined(_WIN32)
  std::thread thread_;
#else
  static void* enter(void* self);

  void (*work_)(void*) = nullptr;
  void* argument_ = nullptr;
  pthread_t thread_ = {};
#endif
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_THREAD_H_
