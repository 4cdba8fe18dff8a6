// The addon's exports: what this build offers, and the classes. One instance per environment (main thread, each
// worker).
#include <napi.h>

#include "../engine/ops.h"
#include "../targets/dispatch.h"
#include "data_object.h"
#include "keep_loaded.h"
#include "measure_peak.h"
#include "session_object.h"
#include "thread_budget_exports.h"
#ifdef MNIST_TRAIN_INJECT
#include "../tests/injected_bugs.h"
#endif

namespace mnist_train {
namespace {

Napi::Array instruction_sets(Napi::Env env) {
  const Target* targets;
  const size_t count = all_targets(&targets);
  Napi::Array list = Napi::Array::New(env);
  for (size_t i = 0; i < count; i++) {
    if (targets[i].supported) list.Set(list.Length(), Napi::String::New(env, targets[i].name));
  }
  return list;
}

Napi::Array operations(Napi::Env env) {
  Napi::Array list = Napi::Array::New(env, op_kind_count());
  for (size_t i = 0; i < op_kind_count(); i++) {
    list.Set(static_cast<uint32_t>(i), Napi::String::New(env, op_kind(i).name));
  }
  return list;
}

#ifdef MNIST_TRAIN_INJECT
// inject(name: string): boolean. For the proof that sanitizers see this addon's bugs; no build for users has it.
Napi::Value inject(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), test::inject_bug(info[0].ToString().Utf8Value().c_str()));
}
#endif

class MnistTrainAddon : public Napi::Addon<MnistTrainAddon> {
 public:
  MnistTrainAddon(Napi::Env env, Napi::Object exports) {
    keep_loaded();
    DefineAddon(
        exports,
        {
            InstanceValue("version", Napi::String::New(env, MNIST_TRAIN_VERSION), napi_enumerable),
            InstanceValue("instructionSets", instruction_sets(env), napi_enumerable),
            InstanceValue("operations", operations(env), napi_enumerable),
            InstanceValue("Session", SessionObject::define(env), napi_enumerable),
            InstanceValue("Data", DataObject::define(env), napi_enumerable),
            InstanceValue("countNonZeros", Napi::Function::New<DataObject::count_non_zeros>(env), napi_enumerable),
            InstanceValue("measurePeak", Napi::Function::New<measure_peak>(env), napi_enumerable),
            InstanceValue("threadBudget", Napi::Function::New<thread_budget>(env), napi_enumerable),
            InstanceValue("setThreadBudget", Napi::Function::New<set_thread_budget>(env), napi_enumerable),
            InstanceValue("mostThreadsAtWork", Napi::Function::New<most_threads_at_work>(env), napi_enumerable),
#ifdef MNIST_TRAIN_INJECT
            InstanceValue("inject", Napi::Function::New<inject>(env), napi_enumerable),
#endif
        });
  }
};

}  // namespace
}  // namespace mnist_train

using mnist_train::MnistTrainAddon;
NODE_API_ADDON(MnistTrainAddon)
