#include "data.h"

#include <string.h>

namespace mnist_train {

bool Data::allocate(const Room& room) {
  view = DataView();
  view.count = room.count;
  view.columns = room.columns;
  view.target_columns = room.target_columns;
  appended = 0;
  const size_t elements = room.count * room.columns;
  if (!targets.allocate(room.count * room.target_columns * sizeof(float))) return false;
  if (room.classes) {
    view.classes = reinterpret_cast<const int32_t*>(targets.data());
  } else {
    view.targets = reinterpret_cast<const float*>(targets.data());
  }
  const bool few = static_cast<double>(room.non_zeros) < kSparseDensity * static_cast<double>(elements);
  if (!few || room.columns > kMostPixelIndices) {
    if (!inputs.allocate_huge(elements * (room.bytes ? 1 : sizeof(float)))) return false;
    view.bytes = room.bytes ? reinterpret_cast<const uint8_t*>(inputs.data()) : nullptr;
    view.floats = room.bytes ? nullptr : reinterpret_cast<const float*>(inputs.data());
    return true;
  }
  list_capacity = room.non_zeros;
  const size_t entry = room.bytes ? sizeof(Pixel) : sizeof(NonZero);
  if (!inputs.allocate_huge((list_capacity + kRoomBehindLists) * entry)) return false;
  if (!starts.allocate((room.count + 1) * sizeof(size_t))) return false;
  view.sparse = {room.bytes ? reinterpret_cast<Pixel*>(inputs.data()) : nullptr,
                 room.bytes ? nullptr : reinterpret_cast<NonZero*>(inputs.data()),
                 reinterpret_cast<const size_t*>(starts.data()), nullptr};
  return true;
}

bool Data::append(const KernelTable& kernels, const Samples& samples) {
  const size_t count = samples.count;
  if (count > view.count - appended) return false;
  const size_t before = appended * view.columns;
  const size_t elements = count * view.columns;
  if (view.bytes != nullptr) {
    memcpy(inputs.data() + before, samples.bytes, elements);
  } else if (view.floats != nullptr) {
    memcpy(inputs.data() + before * sizeof(float), samples.floats, elements * sizeof(float));
  } else {
    size_t* const begins = reinterpret_cast<size_t*>(starts.data()) + appended;
    const size_t used = *begins;
    if (kernels.non_zeros(samples.bytes, samples.floats, elements) > list_capacity - used) return false;
    Pixel* const pixels = samples.bytes ? reinterpret_cast<Pixel*>(inputs.data()) + used : nullptr;
    NonZero* const values = samples.floats ? reinterpret_cast<NonZero*>(inputs.data()) + used : nullptr;
    kernels.row_lists({samples.bytes, samples.floats, count, view.columns, pixels, values, begins});
    for (size_t i = 0; i <= count; i++) begins[i] += used;
  }
  const void* const from = samples.classes ? static_cast<const void*>(samples.classes) : samples.targets;
  const size_t row = view.target_columns * sizeof(float);
  memcpy(targets.data() + appended * row, from, count * row);
  appended += count;
  return true;
}

}  // namespace mnist_train
