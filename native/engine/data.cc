#include "data.h"

#include <string.h>

namespace mnist_train {

bool Data::copy_inputs(const KernelTable& kernels, const uint8_t* bytes, const float* floats, size_t count,
                       size_t columns) {
  view.count = count;
  view.columns = columns;
  const size_t elements = count * columns;
  const size_t non_zeros = kernels.non_zeros(bytes, floats, elements);
  const bool few = static_cast<double>(non_zeros) < kSparseDensity * static_cast<double>(elements);
  if (!few || columns > kMostPixelIndices) {
    const size_t size = elements * (bytes ? 1 : sizeof(float));
    if (!inputs.allocate_huge(size)) return false;
    memcpy(inputs.data(), bytes ? static_cast<const void*>(bytes) : floats, size);
    view.bytes = bytes ? reinterpret_cast<const uint8_t*>(inputs.data()) : nullptr;
    view.floats = bytes ? nullptr : reinterpret_cast<const float*>(inputs.data());
    return true;
  }
  const size_t entry = bytes ? sizeof(Pixel) : sizeof(NonZero);
  if (!inputs.allocate_huge((non_zeros + kRoomBehindLists) * entry)) return false;
  if (!starts.allocate((count + 1) * sizeof(size_t))) return false;
  Pixel* const pixels = bytes ? reinterpret_cast<Pixel*>(inputs.data()) : nullptr;
  NonZero* const values = bytes ? nullptr : reinterpret_cast<NonZero*>(inputs.data());
  size_t* const begins = reinterpret_cast<size_t*>(starts.data());
  kernels.row_lists({bytes, floats, count, columns, pixels, values, begins});
  view.sparse = {pixels, values, begins, nullptr};
  return true;
}

}  // namespace mnist_train
