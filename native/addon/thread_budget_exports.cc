#include "thread_budget_exports.h"

#include "../engine/thread_budget.h"
#include "arguments.h"

namespace mnist_train {

// threadBudget(): number
Napi::Value thread_budget(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ThreadBudget::of_process().threads()));
}

// setThreadBudget(threads: number, isDefault: boolean): void; a default changes nothing that was set before
Napi::Value set_thread_budget(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  size_t threads = 0;
  if (!whole_number(info[0], 1, static_cast<double>(kMostThreads), &threads) || !info[1].IsBoolean()) {
    return throw_type_error(env, "Expected 1 to 256 threads, and whether they are a default.");
  }
  ThreadBudget& budget = ThreadBudget::of_process();
  if (info[1].As<Napi::Boolean>().Value()) {
    budget.set_default(threads);
  } else {
    budget.set(threads);
  }
  return env.Undefined();
}

// mostThreadsAtWork(): number
Napi::Value most_threads_at_work(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ThreadBudget::of_process().most_at_work()));
}

}  // namespace mnist_train
