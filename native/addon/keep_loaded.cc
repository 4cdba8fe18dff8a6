#include "keep_loaded.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace mnist_train {
namespace {

const char kAnchor = 0;  // an address within this library

}  // namespace

void keep_loaded() {
#if defined(_WIN32)
  HMODULE module;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, &kAnchor, &module);
#else
  Dl_info info;
  // The handle is never closed, and the flag holds even so.
  if (dladdr(&kAnchor, &info) != 0) dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

}  // namespace mnist_train
