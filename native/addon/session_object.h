// Session: an engine with a job queue of its own, for JavaScript. src/backends/native/addon.ts describes its methods.
#ifndef MNIST_TRAIN_ADDON_SESSION_OBJECT_H_
#define MNIST_TRAIN_ADDON_SESSION_OBJECT_H_

#include <napi.h>

#include <memory>
#include <vector>

#include "../engine/engine.h"
#include "../engine/job_queue.h"

namespace mnist_train {

class SessionObject : public Napi::ObjectWrap<SessionObject> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit SessionObject(const Napi::CallbackInfo& info);
  ~SessionObject() override;

 private:
  struct Pending;
  struct Advance;
  struct Inference;
  static void call_js(Napi::Env env, Napi::Function callback, SessionObject* session, Pending* pending);
  using Completion = Napi::TypedThreadSafeFunction<SessionObject, Pending, call_js>;

  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value read_published(const Napi::CallbackInfo& info);
  Napi::Value parameters_are_finite(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value publish(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value advance(const Napi::CallbackInfo& info);
  Napi::Value metrics(const Napi::CallbackInfo& info);
  Napi::Value finish(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value infer(const Napi::CallbackInfo& info);
  Napi::Value infer_sync(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  static bool rows_of(const Napi::Value& first, const Buffer& buffer, size_t values, RowRange* rows);
  const Buffer* buffer_of(const Napi::Value& index) const;
  bool usable(Napi::Env env) const;
  bool open_queue(Napi::Env env);
  Napi::Value post(Napi::Env env, std::unique_ptr<Pending> pending);
  void settle(Napi::Env env, Pending* pending);
  void shut_down();
  void cancel_run();
  static void shut_down_hook(void* self);
  void release_engine();

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<JobQueue> queue_;  // from the first asynchronous call on
  Completion completion_;
  std::unique_ptr<Run> run_;  // between begin() and finish()
  bool advancing_ = false;
  std::vector<std::unique_ptr<Pending>> pending_;
  std::unique_ptr<AlignedMemory> spare_inputs_;  // of the last prediction, for the next one
  int64_t accounted_bytes_ = 0;
  bool hooked_ = false;
  napi_env hook_env_ = nullptr;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_SESSION_OBJECT_H_
