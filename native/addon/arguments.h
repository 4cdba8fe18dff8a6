// Takes arguments apart and checks what memory safety depends on. Everything else was checked in TypeScript, where
// messages are friendlier; what fails here is a bug there or a caller who went around it.
#ifndef MNIST_TRAIN_ADDON_ARGUMENTS_H_
#define MNIST_TRAIN_ADDON_ARGUMENTS_H_

#include <napi.h>

namespace mnist_train {

// Memory of a typed array, valid until the next JavaScript runs: detaching, transferring or resizing would move it.
template <class T>
struct View {
  T* data = nullptr;
  size_t length = 0;
};

// False when the value is not a typed array of this element type. Napi::TypedArrayOf does not check the type.
template <class T>
bool view_of(const Napi::Value& value, napi_typedarray_type type, View<T>* view) {
  bool is_typed_array = false;
  if (napi_is_typedarray(value.Env(), value, &is_typed_array) != napi_ok || !is_typed_array) return false;
  napi_typedarray_type actual;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &actual, &length, &data, nullptr, nullptr) != napi_ok) return false;
  if (actual != type) return false;
  view->data = static_cast<T*>(data);
  view->length = length;
  return true;
}

inline bool view_of(const Napi::Value& value, View<float>* view) { return view_of(value, napi_float32_array, view); }
inline bool view_of(const Napi::Value& value, View<double>* view) { return view_of(value, napi_float64_array, view); }
inline bool view_of(const Napi::Value& value, View<uint8_t>* view) { return view_of(value, napi_uint8_array, view); }
inline bool view_of(const Napi::Value& value, View<int32_t>* view) { return view_of(value, napi_int32_array, view); }
inline bool view_of(const Napi::Value& value, View<uint32_t>* view) { return view_of(value, napi_uint32_array, view); }

// A whole number in [minimum, maximum]; false otherwise, NaN included.
inline bool whole_number(const Napi::Value& value, double minimum, double maximum, size_t* result) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= minimum && number <= maximum) || number != static_cast<double>(static_cast<size_t>(number)))
    return false;
  *result = static_cast<size_t>(number);
  return true;
}

// For the constructors of wrapped objects. In a worker that is being terminated, nothing can be wrapped: no exception
// is pending, and no finalizer will ever come. The object then makes nothing, and goes when the environment does. (It
// cannot go at once: its class is not through with it.)
template <class T>
bool is_wrapped(Napi::Env env, T* object) {
  if (!object->IsEmpty()) return true;
  if (env.IsExceptionPending()) return false;  // then the class deletes the object itself
  napi_add_env_cleanup_hook(env, [](void* orphan) { delete static_cast<T*>(orphan); }, object);
  return false;
}

inline Napi::Value throw_type_error(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

inline Napi::Value throw_range_error(Napi::Env env, const std::string& message) {
  Napi::RangeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

inline Napi::Value throw_error(Napi::Env env, const char* message) {
  Napi::Error::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_ARGUMENTS_H_
