#include "thread.h"

namespace mnist_train {

#if defined(_WIN32)

bool Thread::start(void (*work)(void*), void* argument) {
  thread_ = std::thread(work, argument);
  started_ = true;
  return true;
}

void Thread::join() {
  thread_.join();
  started_ = false;
}

Thread::Handle Thread::handle() { return thread_.native_handle(); }

#else

void* Thread::enter(void* self) {
  Thread* const thread = static_cast<Thread*>(self);
  thread->work_(thread->argument_);
  return nullptr;
}

bool Thread::start(void (*work)(void*), void* argument) {
  work_ = work;
  argument_ = argument;
  started_ = pthread_create(&thread_, nullptr, &Thread::enter, this) == 0;
  return started_;
}

void Thread::join() {
  pthread_join(thread_, nullptr);
  started_ = false;
}

Thread::Handle Thread::handle() { return thread_; }

#endif

}  // namespace mnist_train
