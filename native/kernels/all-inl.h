// Every kernel, compiled into the instruction set whose vocabulary was included before, and the table of them. Included
// once by each file of native/targets. What is here includes no C++ library header: an inline function of the library
// compiled with ISA flags could be the copy that the linker keeps for everybody.
#include "augment-inl.h"
#include "batch-norm-inl.h"
#include "clipping-inl.h"
#include "conv-backward-inl.h"
#include "conv-forward-inl.h"
#include "dense-inl.h"
#include "dropout-inl.h"
#include "elementwise-inl.h"
#include "losses-inl.h"
#include "matmul-inl.h"
#include "optimizers-inl.h"
#include "peak-inl.h"
#include "pooling-inl.h"
#include "softmax-inl.h"
#include "weights-inl.h"

#define MNIST_TRAIN_STRING_OF(name) #name
#define MNIST_TRAIN_STRING(name) MNIST_TRAIN_STRING_OF(name)

namespace mnist_train {
namespace MNIST_TRAIN_ISA {

extern const KernelTable kTable;
const KernelTable kTable = {
    MNIST_TRAIN_STRING(MNIST_TRAIN_ISA),
    matmul,
    dense,
    dense_backward,
    activation,
    activation_backward,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
    cross_entropy,
    binary_cross_entropy,
    mean_squared_error,
    mean_absolute_error,
    huber,
    sgd,
    adam,
    rmsprop,
    adagrad,
    lion,
    gather,
    row_lists,
    non_zeros,
    conv2d,
    conv2d_backward,
    sum_parts,
    multiply_adds,
    max_pool2d,
    max_pool2d_backward,
    average_pool2d,
    average_pool2d_backward,
    dropout,
    add,
    channel_moments,
    batch_norm_statistics,
    batch_norm,
    batch_norm_sums,
    batch_norm_backward,
    fold_batch_norm,
    regularize,
    max_norm,
    clip_by_value,
    column_squares,
    add_squares,
    clip_by_global_norm,
    average,
    augment,
};

}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train
