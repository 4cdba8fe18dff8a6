#include "data_object.h"

#include <new>

#include "../targets/dispatch.h"
#include "arguments.h"

namespace mnist_train {
namespace {

// Marks the objects of this class, since any object can be passed as an argument.
constexpr napi_type_tag kDataTag = {0x6d6e6973742d7472, 0x61696e2d64617461};

// The kernels that make lists; which instruction set they are of changes nothing in these. Null after an exception.
const KernelTable* list_kernels(Napi::Env env) {
  const KernelTable* kernels = choose_target(nullptr);
  if (kernels == nullptr) throw_error(env, "This processor has none of the instruction sets of this build.");
  return kernels;
}

}  // namespace

Napi::Function DataObject::define(Napi::Env env) {
  return DefineClass(env, "Data",
                     {InstanceMethod<&DataObject::append>("append"), InstanceMethod<&DataObject::dispose>("dispose")});
}

DataObject* DataObject::from(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const Napi::Object object = value.As<Napi::Object>();
  return object.CheckTypeTag(&kDataTag) ? Unwrap(object) : nullptr;
}

// new Data(count, columns, bytes: boolean, nonZeros, targetColumns, classes: boolean)
DataObject::DataObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DataObject>(info) {
  const Napi::Env env = info.Env();
  if (!is_wrapped(env, this)) return;
  info.This().As<Napi::Object>().TypeTag(&kDataTag);
  constexpr double kMostElements = 9007199254740992.0;  // 2^53
  Data::Room room;
  if (!whole_number(info[0], 1, 4294967295.0, &room.count) || !whole_number(info[1], 1, 2147483647.0, &room.columns) ||
      !info[2].IsBoolean() || !whole_number(info[3], 0, kMostElements, &room.non_zeros) ||
      !whole_number(info[4], 1, 2147483647.0, &room.target_columns) || !info[5].IsBoolean()) {
    throw_type_error(env, "Expected a count, columns, a type, non-zeros, target columns and a type.");
    return;
  }
  room.bytes = info[2].As<Napi::Boolean>();
  room.classes = info[5].As<Napi::Boolean>();
  const double elements = static_cast<double>(room.count) * static_cast<double>(room.columns);
  const double target_elements = static_cast<double>(room.count) * static_cast<double>(room.target_columns);
  if (elements > kMostElements || target_elements > kMostElements || static_cast<double>(room.non_zeros) > elements) {
    throw_range_error(env, "Expected samples that memory can hold, and no more non-zeros than they have values.");
    return;
  }
  if (room.classes && room.target_columns != 1) {
    throw_range_error(env, "Expected one class index per sample.");
    return;
  }
  std::shared_ptr<Data> data(new (std::nothrow) Data());
  if (data == nullptr || !data->allocate(room)) {
    throw_error(env, "There is not enough memory for the data.");
    return;
  }
  bytes_ = room.bytes;
  classes_ = room.classes;
  accounted_bytes_ = static_cast<int64_t>(data->bytes());
  Napi::MemoryManagement::AdjustExternalMemory(env, accounted_bytes_);
  data_ = std::move(data);
}

// append(inputs: Uint8Array | Float32Array, targets: Int32Array | Float32Array): void; the next samples
Napi::Value DataObject::append(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!data_) return throw_error(env, "The data are disposed.");
  View<uint8_t> bytes;
  View<float> floats, targets;
  View<int32_t> classes;
  if (bytes_ ? !view_of(info[0], &bytes) : !view_of(info[0], &floats)) {
    return throw_type_error(env, "Expected inputs of the type that the data have.");
  }
  if (classes_ ? !view_of(info[1], &classes) : !view_of(info[1], &targets)) {
    return throw_type_error(env, "Expected targets of the type that the data have.");
  }
  const size_t values = bytes_ ? bytes.length : floats.length;
  const size_t target_values = classes_ ? classes.length : targets.length;
  const size_t count = values / data_->view.columns;
  if (count == 0 || values != count * data_->view.columns || target_values != count * data_->view.target_columns) {
    return throw_range_error(env, "Expected inputs and targets of whole samples.");
  }
  const KernelTable* kernels = list_kernels(env);
  if (kernels == nullptr) return env.Undefined();
  if (!data_->append(*kernels, {bytes.data, floats.data, classes.data, targets.data, count})) {
    return throw_range_error(env, "Expected no more samples, or values that are not zero, than there is room for.");
  }
  return env.Undefined();
}

Napi::Value DataObject::count_non_zeros(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  View<uint8_t> bytes;
  View<float> floats;
  if (!view_of(info[0], &bytes) && !view_of(info[0], &floats)) {
    return throw_type_error(env, "Expected a Uint8Array or a Float32Array.");
  }
  const KernelTable* kernels = list_kernels(env);
  if (kernels == nullptr) return env.Undefined();
  // Of an empty array, there may be no memory to look at.
  const size_t length = bytes.length + floats.length;
  const size_t found = length == 0 ? 0 : kernels->non_zeros(bytes.data, floats.data, length);
  return Napi::Number::New(env, static_cast<double>(found));
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
