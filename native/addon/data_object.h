// Data: a copy of samples in native memory: JavaScript's `new Data(...)` makes room, and `append` fills it.
#ifndef MNIST_TRAIN_ADDON_DATA_OBJECT_H_
#define MNIST_TRAIN_ADDON_DATA_OBJECT_H_

#include <napi.h>

#include <memory>

#include "../engine/engine.h"

namespace mnist_train {

class DataObject : public Napi::ObjectWrap<DataObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // countNonZeros(values: Uint8Array | Float32Array): what the room for lists depends on.
  static Napi::Value count_non_zeros(const Napi::CallbackInfo& info);
  // The Data object behind a value, or null.
  static DataObject* from(const Napi::Value& value);

  explicit DataObject(const Napi::CallbackInfo& info);
  ~DataObject() override;

  // Null once disposed, and until all samples are there; a run that began before keeps its own reference.
  std::shared_ptr<const Data> data() const { return data_ && data_->complete() ? data_ : nullptr; }

 private:
  Napi::Value append(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  void release();

  std::shared_ptr<Data> data_;
  bool bytes_ = false;
  bool classes_ = false;
  int64_t accounted_bytes_ = 0;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_DATA_OBJECT_H_
