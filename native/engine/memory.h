// Memory aligned to cache lines, zeroed, that says when there is none instead of throwing.
#ifndef MNIST_TRAIN_ENGINE_MEMORY_H_
#define MNIST_TRAIN_ENGINE_MEMORY_H_

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#if defined(_MSC_VER)
#include <malloc.h>
#endif

namespace mnist_train {

constexpr size_t kAlignment = 64;

class AlignedMemory {
 public:
  AlignedMemory() = default;
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;
  ~AlignedMemory() { release(); }

  // False when there is not so much memory. Zero bytes are allowed.
  bool allocate(size_t bytes) {
    release();
    if (bytes > static_cast<size_t>(-1) - kAlignment) return false;
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment + (bytes == 0 ? kAlignment : 0);
#if defined(_MSC_VER)
    data_ = static_cast<char*>(_aligned_malloc(rounded, kAlignment));
#else
    void* data = nullptr;
    if (posix_memalign(&data, kAlignment, rounded) != 0) data = nullptr;
    data_ = static_cast<char*>(data);
#endif
    if (data_ == nullptr) return false;
    memset(data_, 0, rounded);
    size_ = bytes;
    return true;
  }

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void release() {
#if defined(_MSC_VER)
    _aligned_free(data_);
#else
    free(data_);
#endif
    data_ = nullptr;
    size_ = 0;
  }

  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_MEMORY_H_
