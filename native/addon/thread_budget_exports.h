// The process's thread budget, for JavaScript. src/backends/native/addon.ts describes the functions.
#ifndef MNIST_TRAIN_ADDON_THREAD_BUDGET_EXPORTS_H_
#define MNIST_TRAIN_ADDON_THREAD_BUDGET_EXPORTS_H_

#include <napi.h>

namespace mnist_train {

Napi::Value thread_budget(const Napi::CallbackInfo& info);
Napi::Value set_thread_budget(const Napi::CallbackInfo& info);
Napi::Value most_threads_at_work(const Napi::CallbackInfo& info);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_THREAD_BUDGET_EXPORTS_H_
