// Matrix products of OpenBLAS, oneDNN or this project's kernels on the shapes of `mnist-train bench --filter matmul`: one
// JSON line of GFLOP/s by shape, the median of 9 samples each.
//   g++ -O2 -DUSE_OPENBLAS -o sgemm_openblas sgemm.cpp -lopenblas && OPENBLAS_NUM_THREADS=1 ./sgemm_openblas
//   g++ -O2 -DUSE_ONEDNN -o sgemm_onednn sgemm.cpp -ldnnl && OMP_NUM_THREADS=1 ./sgemm_onednn
// The project's kernels are built by compare.mjs, which knows their flags. With several threads they meet at a barrier
// behind every product, as an engine's do. MNIST_TRAIN_ISA and MNIST_TRAIN_THREADS choose.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#if defined(USE_OPENBLAS)
#include <cblas.h>
#elif defined(USE_ONEDNN)
#include <dnnl.h>
#elif defined(USE_MNIST_TRAIN)
#include "../../native/engine/thread_team.h"
#include "../../native/targets/dispatch.h"
#else
#error Expected -DUSE_OPENBLAS, -DUSE_ONEDNN or -DUSE_MNIST_TRAIN.
#endif

struct Shape {
  int m, n, k;
  bool ta, tb;
};

// The list of src/cli/bench/matmul.ts.
static const Shape kShapes[] = {
    {64, 128, 784, false, true},  {128, 128, 784, false, true}, {64, 10, 128, false, true},   {784, 128, 64, true, false},
    {128, 784, 64, true, false},  {64, 128, 10, false, false},  {256, 128, 784, false, false}, {128, 512, 784, false, false},
    {512, 512, 128, true, false}, {1024, 1024, 1024, false, false},
};

#if defined(USE_MNIST_TRAIN)
struct Calls {
  const mnist_train::KernelTable* kernels;
  mnist_train::ThreadTeam* team;
  mnist_train::MatmulArgs args;
  int calls;

  static void member(size_t member, void* argument) {
    const Calls& own = *static_cast<Calls*>(argument);
    std::vector<float> scratch(mnist_train::scratch_floats(own.args.k) + 16);
    for (int i = 0; i < own.calls; i++) {
      own.kernels->matmul(own.args, {member, own.team->members(), scratch.data()});
      own.team->barrier.wait();
    }
  }
};

static void multiply(const Shape& s, int calls, const float* a, const float* b, float* c) {
  static const mnist_train::KernelTable* const kernels = mnist_train::choose_target(std::getenv("MNIST_TRAIN_ISA"));
  static const char* const threads = std::getenv("MNIST_TRAIN_THREADS");
  static mnist_train::ThreadTeam team(threads ? std::strtoul(threads, nullptr, 10) : 1);
  Calls all = {kernels, &team, {a, b, c, size_t(s.m), size_t(s.n), size_t(s.k), s.ta, s.tb}, calls};
  team.run(Calls::member, &all);
}
#else
static void multiply(const Shape& s, int calls, const float* a, const float* b, float* c) {
  for (int i = 0; i < calls; i++) {
#if defined(USE_OPENBLAS)
    cblas_sgemm(CblasRowMajor, s.ta ? CblasTrans : CblasNoTrans, s.tb ? CblasTrans : CblasNoTrans, s.m, s.n, s.k, 1, a,
                s.ta ? s.m : s.k, b, s.tb ? s.k : s.n, 0, c, s.n);
#else
    dnnl_sgemm(s.ta ? 'T' : 'N', s.tb ? 'T' : 'N', s.m, s.n, s.k, 1, a, s.ta ? s.m : s.k, b, s.tb ? s.k : s.n, 0, c,
               s.n);
#endif
  }
}
#endif

// Seconds of so many products.
static double seconds(const Shape& s, int calls, const float* a, const float* b, float* c) {
  const auto start = std::chrono::steady_clock::now();
  multiply(s, calls, a, b, c);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main() {
  const char* separator = "{";
  for (const Shape& s : kShapes) {
    const std::vector<float> a(size_t(s.m) * s.k, 1.0f), b(size_t(s.k) * s.n, 0.5f);
    std::vector<float> c(size_t(s.m) * s.n);
    const double flop = 2.0 * s.m * s.n * s.k;
    const int calls = std::max(1, static_cast<int>(1e9 / flop));  // some 10 ms
    seconds(s, calls, a.data(), b.data(), c.data());
    std::vector<double> rates;
    for (int sample = 0; sample < 9; sample++) {
      rates.push_back(flop * calls / seconds(s, calls, a.data(), b.data(), c.data()) / 1e9);
    }
    std::sort(rates.begin(), rates.end());
    std::printf("%s\"matmul %dx%dx%d %c%c\": %.2f", separator, s.m, s.n, s.k, s.ta ? 'T' : 'N', s.tb ? 'T' : 'N', rates[4]);
    separator = ", ";
  }
  std::printf("}\n");
}
