#include "injected_bugs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>

#include "../engine/thread.h"
#include "../kernels/kernels.h"
#include "../targets/dispatch.h"

namespace mnist_train {
namespace test {
namespace {

// What is read from a volatile is news to the compiler, so it neither sees the bugs nor leaves them out.
volatile size_t eight = 8;
volatile int most = 0x7fffffff;
volatile float sink = 0.0f;
float* volatile kept = nullptr;

void read_behind_array() {
  float* const values = new float[eight]();
  sink = values[eight];
  delete[] values;
}

void write_behind_array() {
  float* const values = new float[eight]();
  values[eight] = 1.0f;
  kept = values;
  delete[] values;
}

void read_behind_local_array() {
  float values[8] = {};
  kept = values;
  sink = values[eight];
}

void use_after_free() {
  float* const values = new float[eight]();
  kept = values;
  delete[] values;
  sink = kept[0];
}

void free_twice() {
  kept = static_cast<float*>(malloc(eight));
  free(kept);
  free(kept);
}

// Several, as one address might be left in a register.
void leak() {
  for (int i = 0; i < 20; i++) kept = new float[eight]();
  kept = nullptr;
}

void overflow_of_int() { sink = static_cast<float>(most + 1); }

void shift_too_far() { sink = static_cast<float>(1 << (eight * 8)); }

void misaligned() {
  char* const bytes = static_cast<char*>(calloc(eight, 8));
  sink = *reinterpret_cast<const float*>(bytes + eight / 8);
  free(bytes);
}

void branch_on_uninitialised() {
  float* const values = static_cast<float*>(malloc(eight * sizeof(float)));
  kept = values;
  if (kept[3] > 1.0f) fprintf(stderr, "greater\n");
  free(values);
}

// `values` may be too short for what the kernel is told.
void run_kernel(float* values, size_t count) {
  choose_target(nullptr)->activation({values, values, 1, count, Activation::kRelu, 0, false}, {0, 1, nullptr});
}

void kernel_behind_array() {
  float* const values = new float[eight * 8]();
  run_kernel(values, eight * 8 + 32);
  delete[] values;
}

// The masked load and store of a tail, of which gcc's sanitizers know nothing.
void kernel_tail_behind_array() {
  float* const values = new float[eight + 2]();
  run_kernel(values, eight + 3);
  delete[] values;
}

struct Shared {
  float values[64] = {};
  std::mutex first, second;
};

// Runs `work` here and in another thread, at once or one after the other.
void in_two_threads(void (*here)(Shared*), void (*there)(void*), bool at_once) {
  Shared* const shared = new Shared();
  Thread thread;
  if (!thread.start(there, shared)) abort();
  if (!at_once) thread.join();
  here(shared);
  if (at_once) thread.join();
  delete shared;
}

void race() {
  in_two_threads([](Shared* shared) { shared->values[0] = 1.0f; },
                 [](void* shared) { static_cast<Shared*>(shared)->values[0] = 2.0f; }, true);
}

void kernels_race() {
  in_two_threads([](Shared* shared) { run_kernel(shared->values, 64); },
                 [](void* shared) { run_kernel(static_cast<Shared*>(shared)->values, 64); }, true);
}

// Never at once, so nothing hangs: that the order differs is what is to be noticed.
void deadlock() {
  in_two_threads([](Shared* shared) { const std::lock_guard<std::mutex> first(shared->first), second(shared->second); },
                 [](void* argument) {
                   Shared* const shared = static_cast<Shared*>(argument);
                   const std::lock_guard<std::mutex> second(shared->second), first(shared->first);
                 },
                 false);
}

const struct {
  const char* name;
  void (*commit)();
} kBugs[] = {
    {"heap-read", read_behind_array},
    {"heap-write", write_behind_array},
    {"stack-read", read_behind_local_array},
    {"use-after-free", use_after_free},
    {"double-free", free_twice},
    {"leak", leak},
    {"int-overflow", overflow_of_int},
    {"shift", shift_too_far},
    {"misaligned", misaligned},
    {"uninitialised", branch_on_uninitialised},
    {"kernel-overflow", kernel_behind_array},
    {"kernel-tail-overflow", kernel_tail_behind_array},
    {"race", race},
    {"kernel-race", kernels_race},
    {"deadlock", deadlock},
};

}  // namespace

bool inject_bug(const char* name) {
  for (const auto& bug : kBugs) {
    if (strcmp(bug.name, name) != 0) continue;
    bug.commit();
    return true;
  }
  return false;
}

}  // namespace test
}  // namespace mnist_train
