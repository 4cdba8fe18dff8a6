#include "peak.h"

#include <chrono>
#include <vector>

#include "thread_team.h"

namespace mnist_train {
namespace {

using Clock = std::chrono::steady_clock;

// Between two looks at the clock: some 20 µs, a thousand times as long as the look.
constexpr size_t kRounds = 8192;
constexpr size_t kMostLanes = 16;

struct Measurement {
  const KernelTable& kernels;
  const std::chrono::duration<double> duration;
  ThreadTeam team;
  std::vector<double> rates;  // by member, operations per second
};

void measure_member(size_t member, void* argument) {
  Measurement& measurement = *static_cast<Measurement*>(argument);
  float sums[kMostLanes];
  double operations = 0;
  // Nobody counts before all run: a processor's clock depends on how many of its cores work.
  measurement.team.barrier.wait();
  const Clock::time_point start = Clock::now();
  std::chrono::duration<double> elapsed{0};
  do {
    operations += measurement.kernels.multiply_adds(kRounds, sums);
    elapsed = Clock::now() - start;
  } while (elapsed < measurement.duration);
  measurement.rates[member] = operations / elapsed.count();
}

}  // namespace

double measure_peak(const KernelTable& kernels, size_t threads, double milliseconds) {
  Measurement measurement = {kernels, std::chrono::duration<double>(milliseconds / 1000), ThreadTeam(threads),
                             std::vector<double>(threads)};
  measurement.team.run(measurement.team.muster(threads), measure_member, &measurement);
  double sum = 0;
  for (const double rate : measurement.rates) sum += rate;
  return sum;
}

}  // namespace mnist_train
