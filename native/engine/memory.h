// Memory aligned to cache lines, zeroed, that says when there is none instead of throwing.
#ifndef MNIST_TRAIN_ENGINE_MEMORY_H_
#define MNIST_TRAIN_ENGINE_MEMORY_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <utility>

namespace mnist_train {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{1} << 21;

class AlignedMemory {
 public:
  AlignedMemory() = default;
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;
  ~AlignedMemory() { release(); }

  // False when there is not so much memory. Zero bytes are allowed.
  bool allocate(size_t bytes) { return allocate(bytes, kAlignment); }

  // For much memory, in pages of 2 MB where the system has them: binding MNIST takes 11 ms so, and 25 in pages of 4 KB.
  bool allocate_huge(size_t bytes) {
    if (!allocate(bytes, bytes < kHugePage ? kAlignment : kHugePage)) return false;
#if defined(__linux__)
    if (bytes >= kHugePage) madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // advice: may be declined
#endif
    return true;
  }

  void swap(AlignedMemory* other) {
    std::swap(block_, other->block_);
    std::swap(data_, other->data_);
    std::swap(size_, other->size_);
  }

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  bool allocate(size_t bytes, size_t alignment) {
    release();
    if (bytes > static_cast<size_t>(-1) - alignment) return false;
    // calloc leaves large blocks to the system, which hands out zeroed pages when they are first touched: memory that a
    // program never needs, such as lists for prediction while it trains, costs nothing.
    block_ = calloc(bytes + alignment, 1);
    if (block_ == nullptr) return false;
    const uintptr_t address = reinterpret_cast<uintptr_t>(block_);
    data_ = reinterpret_cast<char*>((address + alignment - 1) / alignment * alignment);
    size_ = bytes;
    return true;
  }

  void release() {
    free(block_);
    block_ = nullptr;
    data_ = nullptr;
    size_ = 0;
  }

  void* block_ = nullptr;
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_MEMORY_H_
