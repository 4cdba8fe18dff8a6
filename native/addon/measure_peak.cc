#include "measure_peak.h"

#include "../engine/peak.h"
#include "../targets/dispatch.h"
#include "arguments.h"

namespace mnist_train {

// measurePeak(isa: string, threads: number, milliseconds: number): GFLOP/s. Blocks its caller for that long, so there
// is not much of it.
Napi::Value measure_peak(const Napi::CallbackInfo& info) {
  constexpr double kMostThreads = 256;
  constexpr double kMostMilliseconds = 200;
  const Napi::Env env = info.Env();
  size_t threads = 0;
  size_t milliseconds = 0;
  if (!info[0].IsString() || !whole_number(info[1], 1, kMostThreads, &threads) ||
      !whole_number(info[2], 1, kMostMilliseconds, &milliseconds)) {
    return throw_type_error(env, "Expected an instruction set, 1 to 256 threads and 1 to 200 milliseconds.");
  }
  const KernelTable* kernels = choose_target(info[0].As<Napi::String>().Utf8Value().c_str());
  if (kernels == nullptr) {
    return throw_range_error(env, "This processor or this build does not have that instruction set.");
  }
  return Napi::Number::New(env, measure_peak(*kernels, threads, static_cast<double>(milliseconds)) / 1e9);
}

}  // namespace mnist_train
