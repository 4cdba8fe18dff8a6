// The engine without Node: runs are equal for any number of threads and any cutting into pieces, cancel stops between
// steps, inference reads published weights while training goes on, teams with more members than cores finish.
#include "../engine/engine.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#include <stdlib.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "../targets/dispatch.h"
#include "check.h"

namespace mnist_train {
namespace test {
namespace {

constexpr size_t kInputs = 20, kUnits = 33, kCapacity = 8, kSamples = 101;

double code_of(const char* name) {
  for (size_t i = 0; i < op_kind_count(); i++) {
    if (strcmp(op_kind(i).name, name) == 0) return static_cast<double>(i);
  }
  return -1;
}

// One dense layer with softmax cross-entropy and SGD; the infer section gives logits. `fused`: samples as lists of
// their non-zeros, and the update behind the gradient.
std::vector<double> program_words(bool fused) {
  const double lists = fused ? 1 : 0;
  const double w = kInputs * kUnits * 4, x = kCapacity * kInputs * 4, y = kCapacity * kUnits * 4;
  const auto up = [](double bytes) { return static_cast<double>((static_cast<size_t>(bytes) + 63) / 64 * 64); };
  const double at_y = up(x), at_t = at_y + up(y), at_d = at_t + 64, at_dw = at_d + up(y), at_db = at_dw + up(w);
  const double bias_bytes = up(kUnits * 4);
  // clang-format off
  return {
      2, up(w) + bias_bytes, 0, at_db + bias_bytes, 0, at_y + up(y), 1, 10,
      0, 0, 0, kInputs, kUnits, 0, 0,             // 0 w
      0, 0, up(w), 1, kUnits, 0, 0,               // 1 b
      2, 0, 0, kCapacity, kInputs, 1, lists,          // 2 x
      2, 0, at_y, kCapacity, kUnits, 1, 0,        // 3 logits
      2, 1, at_t, kCapacity, 1, 1, 0,             // 4 targets
      2, 0, at_d, kCapacity, kUnits, 1, 0,        // 5 dLogits
      2, 0, at_dw, kInputs, kUnits, 0, 0,         // 6 dw
      2, 0, at_db, 1, kUnits, 0, 0,               // 7 db
      4, 0, 0, kCapacity, kInputs, 1, lists,          // 8 infer x
      4, 0, at_y, kCapacity, kUnits, 1, 0,        // 9 infer y
      2,
      0, kCapacity, -1, -1, 7,
      code_of("gather"), 0, 2,
      code_of("gather"), 1, 4,
      code_of("dense"), 2, 0, 1, 3, 0, 0,
      code_of("softmaxCrossEntropy"), 3, 4, 5, 0,
      code_of("denseBackward"), 2, 0, 5, 6, 7, -1, lists,
      code_of("sgd"), 0, 6, -1, 0, 0, 0, 0,
      code_of("sgd"), 1, 7, -1, 0, 0, 0, 0,
      2, kCapacity, 8, 9, 1,
      code_of("dense"), 8, 0, 1, 9, 0, 0,
  };
  // clang-format on
}

bool open(Engine* engine, size_t threads, bool fused = true) {
  Program program;
  std::string error;
  const std::vector<double> words = program_words(fused);
  if (!CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error)) return false;
  if (!CHECK(engine->open(std::move(program), choose_target(nullptr), threads))) return false;
  const std::vector<float> weights = Numbers(3).vector(kInputs * kUnits);
  const Buffer& buffer = engine->program().buffers[0];
  engine->write(buffer, {0, buffer.rows}, weights.data());
  return CHECK(engine->publish());
}

std::shared_ptr<Data> make_data() {
  std::shared_ptr<Data> data(new Data());
  std::vector<uint8_t> pixels(kSamples * kInputs);
  for (size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<uint8_t>(i % 5 == 0 ? (i * 37) % 251 : 0);
  std::vector<int32_t> classes(kSamples);
  for (size_t i = 0; i < kSamples; i++) classes[i] = static_cast<int32_t>(i % kUnits);
  const KernelTable& kernels = *choose_target(nullptr);
  Data::Room room;
  room.count = kSamples;
  room.columns = kInputs;
  room.target_columns = 1;
  room.bytes = room.classes = true;
  room.non_zeros = kernels.non_zeros(pixels.data(), nullptr, pixels.size());
  CHECK(data->allocate(room));
  CHECK(data->view.sparse.pixels != nullptr);
  const size_t first = kSamples / 3;  // in two portions
  CHECK(data->append(kernels, {pixels.data(), nullptr, classes.data(), nullptr, first}));
  CHECK(!data->complete());
  CHECK(!data->append(kernels, {pixels.data(), nullptr, classes.data(), nullptr, kSamples - first + 1}));
  CHECK(data->append(kernels,
                     {pixels.data() + first * kInputs, nullptr, classes.data() + first, nullptr, kSamples - first}));
  CHECK(data->complete());
  return data;
}

void fill(Run* run, size_t epochs) {
  run->section = kTrainSection;
  run->data = make_data();
  run->batch_size = kCapacity;
  for (size_t i = 0; i < kSamples * epochs; i++) run->order.push_back(static_cast<uint32_t>(i % kSamples));
  run->steps = (run->order.size() + kCapacity - 1) / kCapacity;
  run->scalars.assign(run->steps, 0.05f);
}

std::vector<float> weights_of(Engine* engine) {
  std::vector<float> weights(kInputs * kUnits);
  const Buffer& buffer = engine->program().buffers[0];
  engine->read(buffer, {0, 1}, weights.data());
  engine->read(buffer, {1, buffer.rows - 1}, weights.data() + buffer.columns);
  return weights;
}

// Capacity by itself is no reason for memory: metrics of 2^30 samples were 48 GB, written to when the engine was
// opened.
void test_capacity_without_batches() {
  const std::vector<double> words = {
      2, 0, 0, 64, 0, 0, 0, 1, 2, 0, 0, 1, 4, 0, 0, 1, 0, 1 << 30, -1, -1, 1, code_of("clipByValue"), 0, 1};
  Program program;
  std::string error;
  Engine engine;
  CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error);
  if (!CHECK(engine.open(std::move(program), choose_target(nullptr), 2))) return;
  CHECK_MESSAGE(engine.memory_bytes() < 1024, std::to_string(engine.memory_bytes()));
  Run run;
  run.order.assign(20, 0);
  run.batch_size = 10;
  run.steps = 2;
  CHECK(engine.check(run) == nullptr);
  while (run.next_step < run.steps) engine.advance(&run, 1e3);
  CHECK(run.metrics == std::vector<double>(4, 0));
}

void test_threads_and_pieces() {
  std::vector<float> wanted;
  std::vector<double> metrics;
  for (const size_t threads : {size_t{1}, size_t{2}, size_t{3}, size_t{8}}) {
    for (const double milliseconds : {1e5, 0.0, -1.0}) {
      const bool fused = milliseconds >= 0;
      Engine engine;
      if (!open(&engine, threads, fused)) return;
      Run run;
      fill(&run, 4);
      if (!CHECK(engine.check(run) == nullptr)) return;
      size_t pieces = 0;
      for (; run.next_step < run.steps; pieces++) engine.advance(&run, milliseconds);
      CHECK(milliseconds > 0 ? pieces == 1 : pieces == run.steps);
      CHECK(run.metrics.size() == 2 * run.steps);
      if (wanted.empty()) {
        wanted = weights_of(&engine);
        metrics = run.metrics;
      }
      CHECK_MESSAGE(same_bits(weights_of(&engine), wanted), std::to_string(threads) + " threads");
      CHECK(run.metrics == metrics);
    }
  }
  CHECK(metrics.size() > 2 && metrics[0] > 0 && metrics[metrics.size() - 2] < metrics[0]);
}

// A team that gets fewer threads than it has members gives each the shares of several: the same bits, from stretch to
// stretch with another number of threads. And none of it when the run is cancelled before it gets any.
void test_budget() {
  ThreadBudget& budget = ThreadBudget::of_process();
  std::vector<float> wanted;
  for (const size_t members : {size_t{1}, size_t{2}, size_t{3}, size_t{8}}) {
    for (const bool fused : {true, false}) {
      for (size_t first = 1; first <= 8; first++) {
        Engine engine;
        if (!open(&engine, members, fused)) return;
        Run run;
        fill(&run, 2);
        size_t stretches = 0;
        for (size_t threads = first; run.next_step < run.steps; threads = threads % 8 + 1, stretches++) {
          budget.set(threads);
          engine.advance(&run, 0);
          // On a machine with other work, two contended stretches make the engine go on alone.
          const bool may_be_alone = stretches >= 2 && budget.most_at_work() == 1;
          CHECK(budget.most_at_work() == (threads < members ? threads : members) || may_be_alone);
        }
        if (wanted.empty()) wanted = weights_of(&engine);
        CHECK_MESSAGE(same_bits(weights_of(&engine), wanted), std::to_string(members) + " members");
      }
    }
  }
  budget.set(1);
  uint64_t place = 0;
  const std::atomic<bool> never{false};
  const std::atomic<size_t> nothing{0};
  CHECK(budget.take(1, &place, {never, nothing}) == 1);
  Engine engine;
  if (!open(&engine, 2)) return;
  Run run;
  fill(&run, 1);
  std::thread waiting([&] { engine.advance(&run, 1e5); });
  while (budget.waiting() == 0) std::this_thread::yield();
  // Predictions do not wait.
  std::vector<uint8_t> pixels(kInputs, 100);
  std::vector<float> logits(kUnits);
  engine.infer_on_team(pixels.data(), nullptr, 1, logits.data());
  run.cancelled.store(true);
  budget.look_again();
  waiting.join();
  CHECK(run.next_step == 0 && run.metrics.empty());
  // Nor does a run keep them waiting that waits itself on the same thread.
  run.cancelled.store(false);
  engine.expect_prediction();
  engine.advance(&run, 1e5);
  CHECK(run.next_step == 0);
  engine.prediction_begins();
  budget.end_turn(1);
  engine.advance(&run, 1e5);
  CHECK(run.next_step == run.steps);
  budget.set(kMostThreads);
}

void test_cancel() {
  Engine engine;
  if (!open(&engine, 2)) return;
  Run run;
  fill(&run, 1);
  engine.advance(&run, 0);
  run.cancelled.store(true);
  engine.advance(&run, 1e5);
  CHECK(run.next_step == 1 && run.metrics.size() == 2);
}

// An endless learning rate spoils the weights in one step, and the loss of the next is no number: that step is the
// last.
void test_divergence() {
  for (const size_t threads : {size_t{1}, size_t{2}, size_t{3}, size_t{8}}) {
    for (const size_t spoiled : {size_t{0}, size_t{1}, size_t{5}, size_t{11}}) {
      for (const double milliseconds : {1e5, 0.0}) {
        Engine engine;
        if (!open(&engine, threads)) return;
        Run run;
        fill(&run, 1);
        run.scalars[spoiled] = INFINITY;
        CHECK(engine.parameters_are_finite());
        while (run.next_step < run.steps && !run.diverged) engine.advance(&run, milliseconds);
        const std::string name = std::to_string(threads) + " threads, step " + std::to_string(spoiled);
        CHECK_MESSAGE(run.diverged && run.next_step == spoiled + 2, name);
        CHECK_MESSAGE(run.metrics.size() == 2 * run.next_step, name);
        for (size_t step = 0; step < run.next_step; step++) {
          CHECK_MESSAGE(std::isfinite(run.metrics[2 * step]) == (step <= spoiled), name);
        }
        CHECK_MESSAGE(!engine.parameters_are_finite(), name);
        engine.advance(&run, milliseconds);
        CHECK_MESSAGE(run.next_step == spoiled + 2, name);
        // Known from the last copy of them, until somebody writes.
        const std::vector<float> zeros(kInputs * kUnits, 0.0f);
        for (size_t i = 0; i < 2; i++)
          engine.write(engine.program().buffers[i], {0, i == 0 ? kInputs : 1}, zeros.data());
        CHECK_MESSAGE(engine.parameters_are_finite(), name);
        CHECK(engine.publish() && engine.parameters_are_finite());
        engine.write(engine.program().buffers[1], {0, 1}, std::vector<float>(kUnits, NAN).data());
        CHECK_MESSAGE(!engine.parameters_are_finite(), name);
      }
    }
  }
}

void test_checks() {
  Engine engine;
  if (!open(&engine, 1)) return;
  const auto refused = [&](void (*spoil)(Run*)) {
    Run run;
    fill(&run, 1);
    spoil(&run);
    return engine.check(run) != nullptr;
  };
  CHECK(!refused([](Run*) {}));
  CHECK(refused([](Run* run) { run->order[5] = kSamples; }));
  CHECK(refused([](Run* run) { run->batch_size = kCapacity + 1; }));
  CHECK(refused([](Run* run) { run->scalars.pop_back(); }));
  CHECK(refused([](Run* run) { run->order.clear(); }));
  CHECK(refused([](Run* run) { run->data.reset(); }));
  CHECK(refused([](Run* run) { run->section = kEvaluateSection; }));
  CHECK(refused([](Run* run) {
    std::shared_ptr<Data> narrow = make_data();
    narrow->view.columns = kInputs - 1;
    run->data = narrow;
  }));
}

// Predictions on this thread while another one trains: each must be the answer of some published weights, so for equal
// inputs both halves of a batch agree.
void test_infer_while_training() {
  Engine engine;
  if (!open(&engine, 2)) return;
  Run run;
  // valgrind runs one thread at a time, and threads that wait for each other in turns.
  fill(&run, getenv("MNIST_TRAIN_QUICK_TESTS") ? 10 : 300);
  std::atomic<bool> done{false};
  std::thread trainer([&] {
    while (run.next_step < run.steps) engine.advance(&run, 0.2);
    done.store(true);
  });
  std::vector<uint8_t> pixels(2 * kInputs, 100);
  size_t predictions = 0;
  do {
    std::vector<float> logits(2 * kUnits);
    engine.infer_alone(pixels.data(), nullptr, 2, logits.data());
    for (size_t j = 0; j < kUnits; j++) CHECK(logits[j] == logits[kUnits + j]);
    predictions++;
  } while (!done.load());
  trainer.join();
  std::vector<float> alone(2 * kUnits), team(2 * kUnits);
  engine.infer_alone(pixels.data(), nullptr, 2, alone.data());
  engine.infer_on_team(pixels.data(), nullptr, 2, team.data());
  CHECK(same_bits(alone, team));
  CHECK(predictions > 0);
}

void test_inference_in_chunks() {
  Engine engine;
  if (!open(&engine, 3)) return;
  const size_t rows = 3 * kCapacity + 1;
  const std::vector<float> x = Numbers(9).vector(rows * kInputs);
  std::vector<float> together(rows * kUnits), one(kUnits);
  engine.infer_on_team(nullptr, x.data(), rows, together.data());
  for (size_t row = 0; row < rows; row++) {
    engine.infer_alone(nullptr, x.data() + row * kInputs, 1, one.data());
    CHECK(memcmp(one.data(), together.data() + row * kUnits, kUnits * sizeof(float)) == 0);
  }
}

// Members are woken on chosen cores, and may go anywhere again once they are awake.
void test_team_leaves_cores_free() {
#if defined(__linux__)
  struct Seen {
    int cores[3];
    std::atomic<size_t> calls{0};
  };
  cpu_set_t mine;
  CHECK(pthread_getaffinity_np(pthread_self(), sizeof mine, &mine) == 0);
  for (const size_t members : {size_t{2}, size_t{3}}) {
    ThreadTeam team(members);
    for (int round = 0; round < 50; round++) {
      Seen seen;
      CHECK(team.muster(members) == members);
      team.run(
          members,
          [](size_t member, void* argument) {
            Seen* const own = static_cast<Seen*>(argument);
            cpu_set_t allowed;
            const bool known = pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) == 0;
            own->cores[member] = known ? CPU_COUNT(&allowed) : -1;
            own->calls++;
          },
          &seen);
      CHECK(seen.calls == members);
      for (size_t member = 0; member < members; member++) CHECK(seen.cores[member] == CPU_COUNT(&mine));
    }
  }
#endif
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train::test;
  if (mnist_train::choose_target(nullptr) == nullptr) {
    fprintf(stderr, "this processor has none of the instruction sets\n");
    return 1;
  }
  test_capacity_without_batches();
  test_threads_and_pieces();
  test_budget();
  test_cancel();
  test_divergence();
  test_checks();
  test_infer_while_training();
  test_inference_in_chunks();
  test_team_leaves_cores_free();
  return report("engine_test");
}
