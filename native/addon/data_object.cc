#include "data_object.h"

#include <string.h>

#include <new>

#include "../targets/dispatch.h"
#include "arguments.h"

namespace mnist_train {
namespace {

// Marks the objects of this class, since any object can be passed as an argument.
constexpr napi_type_tag kDataTag = {0x6d6e6973742d7472, 0x61696e2d64617461};

template <class T>
const T* copy(const View<T>& view, AlignedMemory* memory) {
  if (!memory->allocate(view.length * sizeof(T))) return nullptr;
  if (view.length > 0) memcpy(memory->data(), view.data, view.length * sizeof(T));
  return reinterpret_cast<const T*>(memory->data());
}

}  // namespace

Napi::Function DataObject::define(Napi::Env env) {
  return DefineClass(env, "Data", {InstanceMethod<&DataObject::dispose>("dispose")});
}

DataObject* DataObject::from(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const Napi::Object object = value.As<Napi::Object>();
  return object.CheckTypeTag(&kDataTag) ? Unwrap(object) : nullptr;
}

DataObject::DataObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DataObject>(info) {
  const Napi::Env env = info.Env();
  if (!is_wrapped(env, this)) return;
  info.This().As<Napi::Object>().TypeTag(&kDataTag);
  View<uint8_t> bytes;
  View<float> floats, targets;
  View<int32_t> classes;
  size_t count = 0;
  const bool has_bytes = view_of(info[0], &bytes);
  const bool has_classes = view_of(info[1], &classes);
  if (!has_bytes && !view_of(info[0], &floats)) {
    throw_type_error(env, "Expected a Uint8Array or a Float32Array for inputs.");
    return;
  }
  if (!has_classes && !view_of(info[1], &targets)) {
    throw_type_error(env, "Expected an Int32Array or a Float32Array for targets.");
    return;
  }
  if (!whole_number(info[2], 1, 4294967295.0, &count)) {
    throw_range_error(env, "Expected a whole number of at least 1 for count.");
    return;
  }
  const size_t inputs_length = has_bytes ? bytes.length : floats.length;
  const size_t targets_length = has_classes ? classes.length : targets.length;
  if (inputs_length == 0 || inputs_length % count != 0 || targets_length == 0 || targets_length % count != 0) {
    throw_range_error(env, "Expected inputs and targets of a whole number of values per sample.");
    return;
  }

  std::shared_ptr<Data> data(new (std::nothrow) Data());
  bool copied = data != nullptr;
  if (copied) {
    DataView& view = data->view;
    // Which instruction set makes the lists changes nothing in them.
    const KernelTable* kernels = choose_target(nullptr);
    if (kernels == nullptr) {
      throw_error(env, "This processor has none of the instruction sets of this build.");
      return;
    }
    copied = data->copy_inputs(*kernels, has_bytes ? bytes.data : nullptr, has_bytes ? nullptr : floats.data, count,
                               inputs_length / count);
    view.target_columns = targets_length / count;
    if (has_classes && view.target_columns != 1) {
      throw_range_error(env, "Expected one class index per sample.");
      return;
    }
    if (copied && has_classes) copied = (view.classes = copy(classes, &data->targets)) != nullptr;
    if (copied && !has_classes) copied = (view.targets = copy(targets, &data->targets)) != nullptr;
  }
  if (!copied) {
    throw_error(env, "There is not enough memory for the data.");
    return;
  }
  accounted_bytes_ = static_cast<int64_t>(data->bytes());
  Napi::MemoryManagement::AdjustExternalMemory(env, accounted_bytes_);
  data_ = std::move(data);
}

DataObject::~DataObject() { release(); }

void DataObject::release() {
  data_.reset();
  if (accounted_bytes_ > 0) Napi::MemoryManagement::AdjustExternalMemory(Env(), -accounted_bytes_);
  accounted_bytes_ = 0;
}

Napi::Value DataObject::dispose(const Napi::CallbackInfo& info) {
  release();
  return info.Env().Undefined();
}

}  // namespace mnist_train
