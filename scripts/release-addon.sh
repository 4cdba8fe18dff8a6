#!/bin/sh
# Builds, tests and packs the addon of one platform of npm/platforms.json, on such a machine or in its container:
#
#   scripts/release-addon.sh linux-x64-gnu
#
# The package is put into packed/. What a container lacks is installed; a machine must have Node.js and a compiler.
set -eu
cd "$(dirname "$0")/.."
platform=$1

if command -v dnf >/dev/null; then
  # glibc 2.28, with a compiler that knows AVX-512.
  dnf -y -q module enable nodejs:20
  dnf -y -q install nodejs npm gcc-toolset-12-gcc-c++ make python3.11
  # Red Hat's script reads variables that need not be set.
  set +u
  . /opt/rh/gcc-toolset-12/enable
  set -u
elif command -v apk >/dev/null; then
  apk add --quiet g++ make python3
fi

npm ci
npm run build
npx vitest run tests/parity tests/packaging/binary.test.ts tests/unit/save-load.test.ts
case $platform in
  *-gnu)
    # What distributions of 2018 have: glibc 2.28 and the C++ library of gcc 8, which Node.js loads as well.
    for most in GLIBC_2.28 GLIBCXX_3.4.25 CXXABI_1.3.11; do
      newest=$(nm -D build/Release/mnist_train.node | grep -o "@${most%%_*}_[0-9.]*" | tr -d @ | sort -u -V | tail -n 1)
      echo "needs $newest"
      [ "$(printf '%s\n' "$most" "$newest" | sort -V | tail -n 1)" = "$most" ]
    done
    ;;
esac
node scripts/pack.mjs --platform "$platform" --no-main --out packed
