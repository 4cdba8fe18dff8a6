#!/bin/sh
# Builds the kernels and their tests for AArch64 and runs them in an emulator, so that the NEON vocabulary is tested on
# x86-64 too.
#
#   apt-get install g++-aarch64-linux-gnu qemu-user
#   scripts/test-neon.sh
#
# CXX and RUNNER name another compiler or emulator; RUNNER may be empty on an AArch64 machine.
set -eu
cd "$(dirname "$0")/../native"
compiler=${CXX:-aarch64-linux-gnu-g++}
runner=${RUNNER-qemu-aarch64}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
# Contraction off, as in mnist_train.gypi: docs/numerics.md rounds multiplications and additions one by one.
flags="-O2 -std=c++17 -static -ffp-contract=off -fno-exceptions -fno-rtti -Wall -Wextra -Werror"
export compiler runner build flags
# As many at a time as there are cores; xargs ends with an error where one of them does.
each() { # each COMMAND NAME...: $1 is the name
  command=$1
  shift
  printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' sh -euc "$command" sh '{}'
}
# shellcheck disable=SC2016 # expanded by the shell that runs them
{
  each '$compiler $flags -c targets/$1.cc -o $build/$1.o' neon dispatch cpu_features
  each '$compiler $flags tests/$1_test.cc $build/*.o -o $build/$1_test; $runner $build/$1_test' \
    kernels convolution pooling batch_norm augment regularization
}
