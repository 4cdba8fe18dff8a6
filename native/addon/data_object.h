// Data: a copy of samples in native memory, from JavaScript's `new Data(inputs, targets, count)`.
#ifndef MNIST_TRAIN_ADDON_DATA_OBJECT_H_
#define MNIST_TRAIN_ADDON_DATA_OBJECT_H_

#include <napi.h>

#include <memory>

#include "../engine/engine.h"

namespace mnist_train {

class DataObject : public Napi::ObjectWrap<DataObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // The Data object behind a value, or null.
  static DataObject* from(const Napi::Value& value);

  explicit DataObject(const Napi::CallbackInfo& info);
  ~DataObject() override;

  // Null once disposed; a run that began before keeps its own reference.
  const std::shared_ptr<const Data>& data() const { return data_; }

 private:
  Napi::Value dispose(const Napi::CallbackInfo& info);
  void release();

  std::shared_ptr<const Data> data_;
  int64_t accounted_bytes_ = 0;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_DATA_OBJECT_H_
