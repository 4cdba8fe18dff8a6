// What the kernel of augmentation and the engine, which gives it scratch memory, both work out. Internal linkage, as in
// partition.h.
#ifndef MNIST_TRAIN_KERNELS_AUGMENT_SIZES_H_
#define MNIST_TRAIN_KERNELS_AUGMENT_SIZES_H_

#include "kernels.h"

namespace mnist_train {
namespace {

// A sample's random numbers before it are for what an image has one of; from it on they are the field's.
constexpr size_t kFirstDisplacement = 16;
// Random numbers are made so many at a time at most: see philox-inl.h.
constexpr size_t kMostNumbersAtOnce = 128;

// The field of displacements, and where scratch memory holds what, in floats.
struct AugmentSizes {
  size_t grid_rows, grid_columns;  // nodes
  size_t stride;                   // of a row of displacements: whole vectors
  size_t terms;                    // the most nodes that reach into a vector of pixels
  size_t weights_y, weights_x, across, image, floats;

  AugmentSizes(size_t height, size_t width, size_t channels, size_t spacing)
      : grid_rows((height - 1) / spacing + 4),
        grid_columns((width - 1) / spacing + 4),
        stride((width + kMostLanes - 1) / kMostLanes * kMostLanes),
        terms((kMostLanes - 1) / spacing + 5),
        weights_y(kFirstDisplacement + displacements() + kMostNumbersAtOnce),
        weights_x(weights_y + 4 * height),
        across(weights_x + terms * stride),
        image(across + 2 * grid_rows * stride),
        floats(image + 2 * channels * (height + 2) * (width + 3) + 2 * kMostLanes) {}

  size_t displacements() const { return 2 * grid_rows * grid_columns; }
};

}  // namespace
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_AUGMENT_SIZES_H_
