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
for part in neon dispatch cpu_features; do
  "$compiler" $flags -c "targets/$part.cc" -o "$build/$part.o"
done
for test in kernels convolution pooling batch_norm augment regularization; do
  "$compiler" $flags "tests/${test}_test.cc" "$build"/*.o -o "$build/${test}_test"
  $runner "$build/${test}_test"
done
