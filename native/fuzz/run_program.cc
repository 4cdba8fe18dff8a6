#include "run_program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "../engine/engine.h"
#include "../engine/op_fields.h"
#include "../targets/dispatch.h"

#if defined(__SANITIZE_ADDRESS__)  // gcc
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)  // clang
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace mnist_train {
namespace fuzz {
namespace {

// What a fuzzer has patience for: memory, samples, and operations of a step.
constexpr size_t kMostBytes = 1 << 19, kMostRows = 1 << 12, kMostScalars = 1 << 12;
constexpr double kMostWork = 1 << 21;
constexpr size_t kMembers = 3;
// The most memory that an engine of one thread may take: so much, and so many times its buffers' (scratch memory
// thrice, lists of single rows in whole cache lines).
constexpr double kAnyMemory = 1 << 24, kMostMemory = 1024;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1), wild_(seed % 16 == 0) {}
  uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  uint32_t below(uint32_t bound) { return next() % bound; }
  // A third are zeros, as in images and behind rectifiers. Some programs meet numbers at the ends of what there is.
  float number() {
    static const float kEnds[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -0.0f};
    if (wild_ && below(8) == 0) return kEnds[below(sizeof(kEnds) / sizeof(kEnds[0]))];
    return below(3) == 0 ? 0.0f : static_cast<float>(next() & 0xffff) / 32768.0f - 1.0f;
  }

 private:
  uint64_t state_;
  bool wild_;
};

uint64_t hash_of(const double* words, size_t count) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < count * sizeof(double); i++) {
    hash = (hash ^ reinterpret_cast<const unsigned char*>(words)[i]) * 1099511628211u;
  }
  return hash;
}

bool is_op(const Op& op, const char* name) { return strcmp(op.kind->name, name) == 0; }

// Roughly the operations of a step: each element of the largest buffer may meet as many others as the widest batch has
// columns or the deepest matrix rows, unless the op goes through its buffers once.
double work_of(const Program& program, const Section& section) {
  double work = 0;
  for (const Op& op : section.ops) {
    double elements = 1, depth = 1, rows = 1;
    for (const int index : op.buffers) {
      if (index == kNoBuffer) continue;
      const Buffer& b = program.buffers[static_cast<size_t>(index)];
      elements = std::max(elements, static_cast<double>(b.elements()));
      depth = std::max(depth, static_cast<double>(b.batched ? b.columns : b.rows));
      if (b.batched) rows = static_cast<double>(b.rows);
    }
    const bool once = op.kind->accesses == accesses_elementwise || op.kind->accesses == accesses_by_rows ||
                      op.kind->is_update || is_op(op, "augment");
    work += elements * (once ? 10 : depth);
    if (op.kind->scratch) work += rows * static_cast<double>(op.kind->scratch(program, op));
  }
  return work;
}

// Samples, values and runs that suit a program, all of them by its hash alone.
struct Setup {
  std::shared_ptr<Data> data;
  std::vector<uint32_t> order[2];  // of training and evaluation
  size_t batch_size[2] = {1, 1};
  std::vector<float> scalars[2];
  std::vector<std::vector<float>> values;  // of buffers
  std::vector<uint8_t> infer_bytes;
  std::vector<float> infer_floats;
  size_t infer_rows = 0;
};

float value_for(const Buffer& buffer, Random* random) {
  if (buffer.type == ElementType::kFloat32) return random->number();
  // Classes and winners, in range and not.
  const float edges[] = {-1, 1e6f, -2147483648.0f, 2147483520.0f};
  return random->below(8) == 0 ? edges[random->below(4)] : static_cast<float>(random->below(5));
}

std::shared_ptr<Data> data_for(const Program& program, const KernelTable& kernels, Random* random) {
  constexpr size_t kCount = 7;
  Data::Room room;
  room.count = kCount;
  room.classes = true;
  room.target_columns = 1;
  room.bytes = random->below(2) == 0;
  bool found_inputs = false, found_targets = false;
  for (const Section& section : program.sections) {
    for (const Op& op : section.ops) {
      if (!is_op(op, "gather")) continue;
      const Buffer& output = buffer_of(program, op, 0);
      if (op.values[0] == 0 && !found_inputs) {
        room.columns = output.columns;
        found_inputs = true;
      }
      if (op.values[0] != 0 && !found_targets) {
        room.classes = output.type == ElementType::kInt32;
        room.target_columns = room.classes ? 1 : output.columns;
        found_targets = true;
      }
    }
  }
  if (!found_inputs) room.columns = 1;
  std::vector<uint8_t> bytes(kCount * room.columns);
  std::vector<float> floats(bytes.size()), targets(kCount * room.target_columns);
  std::vector<int32_t> classes(kCount);
  const uint32_t density = 1 + random->below(4);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random->below(density) == 0 ? random->next() : 0);
  for (size_t i = 0; i < floats.size(); i++) floats[i] = bytes[i] == 0 ? 0.0f : random->number();
  for (float& target : targets) target = static_cast<float>(random->below(100)) / 100;
  const Buffer integers = {kTrain, ElementType::kInt32, 0, 1, 1, false, false};
  for (int32_t& c : classes) c = static_cast<int32_t>(value_for(integers, random));
  room.non_zeros =
      kernels.non_zeros(room.bytes ? bytes.data() : nullptr, room.bytes ? nullptr : floats.data(), bytes.size());
  std::shared_ptr<Data> data(new Data());
  if (!data->allocate(room)) return nullptr;
  data->append(kernels, {room.bytes ? bytes.data() : nullptr, room.bytes ? nullptr : floats.data(),
                         room.classes ? classes.data() : nullptr, room.classes ? nullptr : targets.data(), kCount});
  return data;
}

Setup setup_for(const Program& program, const KernelTable& kernels, Random* random) {
  Setup setup;
  setup.data = data_for(program, kernels, random);
  for (const size_t section : {kTrainSection, kEvaluateSection}) {
    const size_t capacity = program.sections[section].capacity;
    if (capacity == 0) continue;
    // A whole step, and one of fewer samples.
    setup.batch_size[section] = random->below(2) == 0 ? capacity : 1 + random->below(static_cast<uint32_t>(capacity));
    setup.order[section].resize(setup.batch_size[section] + (setup.batch_size[section] + 1) / 2);
    for (uint32_t& index : setup.order[section]) index = random->below(7);
    const size_t steps = (setup.order[section].size() + setup.batch_size[section] - 1) / setup.batch_size[section];
    setup.scalars[section].resize(steps * program.scalars);
    for (float& scalar : setup.scalars[section]) scalar = 0.1f * random->number();
  }
  for (const Buffer& buffer : program.buffers) {
    setup.values.emplace_back(buffer.elements());
    for (float& value : setup.values.back()) value = value_for(buffer, random);
  }
  const Section& infer = program.sections[kInferSection];
  if (!infer.present) return setup;
  const Buffer& input = program.buffers[static_cast<size_t>(infer.input)];
  setup.infer_rows = infer.capacity + (infer.capacity + 1) / 2;
  const size_t size = setup.infer_rows * input.columns;
  const bool bytes = random->below(2) == 0;
  const uint32_t density = 1 + random->below(4);
  for (size_t i = 0; i < size; i++) {
    const bool zero = random->below(density) != 0;
    if (bytes)
      setup.infer_bytes.push_back(static_cast<uint8_t>(zero ? 0 : random->next()));
    else
      setup.infer_floats.push_back(zero ? 0.0f : random->number());
  }
  return setup;
}

// What a run leaves: metrics of both sections, buffers, outputs.
struct Results {
  std::vector<double> metrics[2];
  std::vector<std::vector<float>> buffers;
  std::vector<float> output;

  bool finite() const {
    for (const auto& list : metrics) {
      for (const double value : list) {
        if (!isfinite(value)) return false;
      }
    }
    for (const auto& list : buffers) {
      for (const float value : list) {
        if (!isfinite(value)) return false;
      }
    }
    return std::all_of(output.begin(), output.end(), [](float value) { return isfinite(value); });
  }
};

void fill_run(const Setup& setup, size_t section, Run* run) {
  run->section = static_cast<SectionId>(section);
  run->data = setup.data;
  run->order = setup.order[section];
  run->batch_size = setup.batch_size[section];
  run->scalars = setup.scalars[section];
  run->steps = (run->order.size() + run->batch_size - 1) / run->batch_size;
}

// Which runs the engine is willing to do.
struct Willing {
  bool runs[2] = {false, false};
};

bool run_engine(Engine* engine, const Setup& setup, Willing* willing, Results* results) {
  const Program& program = engine->program();
  for (size_t i = 0; i < program.buffers.size(); i++) {
    const Buffer& b = program.buffers[i];
    if (engine->accessible(b)) engine->write(b, {0, b.rows}, setup.values[i].data());
  }
  if (!engine->publish()) return false;
  for (const size_t section : {kTrainSection, kEvaluateSection}) {
    if (setup.order[section].empty()) continue;
    Run run;
    fill_run(setup, section, &run);
    willing->runs[section] = engine->check(run) == nullptr;
    if (!willing->runs[section]) continue;
    while (run.next_step < run.steps && !run.diverged) engine->advance(&run, 1e6);
    results->metrics[section] = run.metrics;
  }
  for (const Buffer& b : program.buffers) {
    results->buffers.emplace_back();
    if (!engine->accessible(b)) continue;
    results->buffers.back().resize(b.elements());
    engine->read(b, {0, b.rows}, results->buffers.back().data());
  }
  if (setup.infer_rows == 0) return true;
  const Section& infer = program.sections[kInferSection];
  results->output.resize(setup.infer_rows * program.buffers[static_cast<size_t>(infer.output)].columns);
  const uint8_t* bytes = setup.infer_bytes.empty() ? nullptr : setup.infer_bytes.data();
  const float* floats = bytes ? nullptr : setup.infer_floats.data();
  engine->infer_alone(bytes, floats, setup.infer_rows, results->output.data());
  return true;
}

// Memory of exactly so many bytes, with nothing that may be touched behind it or between buffers.
class Region {
 public:
  explicit Region(size_t bytes) {
    if (!memory_.allocate(bytes + kAlignment)) abort();
    ASAN_POISON_MEMORY_REGION(data(), memory_.size());
  }
  ~Region() { ASAN_UNPOISON_MEMORY_REGION(data(), memory_.size()); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  void open(size_t offset, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(data() + offset, bytes); }
  char* data() const { return memory_.data(); }

 private:
  AlignedMemory memory_;
};

class Team {
 public:
  Team(const Program& program, const KernelTable* kernels, Random* random)
      : program_(program), kernels_(kernels), random_(random) {
    if (program_.sections[kTrainSection].capacity > kMostPixelIndices) {
      for (Buffer& b : program_.buffers) b.sparse = false;
    }
    schedule(&program_, kMembers);
    size_t sizes[kRegionCount] = {};
    for (Buffer& b : program_.buffers) {
      b.offset = sizes[b.region];
      sizes[b.region] += (b.elements() * sizeof(float) + 63) / 64 * 64 + 64;
    }
    for (const size_t size : sizes) regions_.emplace_back(new Region(size));
    for (const Buffer& b : program_.buffers) regions_[b.region]->open(b.offset, b.elements() * sizeof(float));
    for (size_t i = 0; i < kMembers; i++) scratch_.emplace_back(program_.scratch_floats);
    open_rooms();
  }

  void write(const std::vector<std::vector<float>>& values) {
    for (size_t i = 0; i < program_.buffers.size(); i++) {
      const Buffer& b = program_.buffers[i];
      if (b.region == kEvaluate || b.region == kInfer || b.sparse) continue;
      size_t at = 0;
      for (size_t row = 0; row < b.rows; row++) {
        for (size_t column = 0; column < b.columns; column++) *place(b, row, column) = bits_of(b, values[i][at++]);
      }
    }
  }

  std::vector<float> read(const Buffer& b) {
    std::vector<float> values;
    for (size_t row = 0; row < b.rows; row++) {
      for (size_t column = 0; column < b.columns; column++) {
        const uint32_t bits = *place(b, row, column);
        int32_t integer;
        float number;
        memcpy(&integer, &bits, sizeof(bits));
        memcpy(&number, &bits, sizeof(bits));
        values.push_back(b.type == ElementType::kInt32 ? static_cast<float>(integer) : number);
      }
    }
    return values;
  }

  void run(const Setup& setup, const Willing& willing, Results* results) {
    write(setup.values);
    for (const size_t section : {kTrainSection, kEvaluateSection}) {
      if (willing.runs[section]) run_section(setup, section, &results->metrics[section]);
    }
    for (const Buffer& b : program_.buffers) {
      const bool accessible = b.region != kEvaluate && b.region != kInfer && !b.sparse;
      results->buffers.push_back(accessible ? read(b) : std::vector<float>());
    }
    if (setup.infer_rows > 0) infer(setup, &results->output);
  }

 private:
  static uint32_t bits_of(const Buffer& b, float value) {
    uint32_t bits;
    if (b.type == ElementType::kInt32) {
      const int32_t integer = static_cast<int32_t>(value);
      memcpy(&bits, &integer, sizeof(bits));
    } else {
      memcpy(&bits, &value, sizeof(bits));
    }
    return bits;
  }

  uint32_t* place(const Buffer& b, size_t row, size_t column) {
    size_t at = row * b.columns + column;
    if (b.type == ElementType::kFloat32) {
      for_columns({b.rows, b.columns, b.layout_parts}, {column, column + 1}, 1,
                  [&](const Columns& c) { at = c.offset + row * c.stride; });
    }
    return reinterpret_cast<uint32_t*>(regions_[b.region]->data() + b.offset) + at;
  }

  // As Engine::open_list_rooms() has them, each list in memory of its own.
  void open_rooms() {
    const Section& section = program_.sections[kTrainSection];
    size_t columns = 0;
    for (const Op& op : section.ops) {
      if (op.kind->sparse_field < 0) continue;
      for (const int index : op.buffers) {
        if (index == kNoBuffer) continue;
        const Buffer& b = program_.buffers[static_cast<size_t>(index)];
        if (b.batched) columns = std::max(columns, b.columns);
      }
    }
    const size_t stride = (section.capacity + 15) / 16 * 16 + 16;
    for (size_t i = 0; i < kMembers; i++) {
      column_lists_.emplace_back(columns * stride);
      ends_.emplace_back(columns);
      row_lists_.emplace_back(columns * section.capacity + kRoomBehindLists);
      starts_.emplace_back(section.capacity + 1);
      rooms_.push_back({column_lists_[i].data(), stride, ends_[i].data(), row_lists_[i].data(), starts_[i].data()});
    }
  }

  StepContext context_of(SectionId section) {
    StepContext context = {};
    context.program = &program_;
    context.section = &program_.sections[section];
    context.kernels = kernels_;
    for (size_t region = 0; region < kRegionCount; region++) context.regions[region] = regions_[region]->data();
    return context;
  }

  // Between two barriers, members go through all ops one after the other, in any order.
  void run_section(const Setup& setup, size_t id, std::vector<double>* metrics) {
    StepContext context = context_of(static_cast<SectionId>(id));
    const Section& section = *context.section;
    const bool lists = holds_lists(setup.data->view.sparse);
    context.data = &setup.data->view;
    const size_t batch = setup.batch_size[id], samples = setup.order[id].size();
    const size_t steps = (samples + batch - 1) / batch;
    std::vector<std::vector<RowMetrics>> reported(steps, std::vector<RowMetrics>(section.capacity, RowMetrics{0, 0}));
    struct Item {
      size_t step, op;
    };
    std::vector<Item> stretch;
    const auto run_stretch = [&] {
      size_t members[kMembers];
      for (size_t i = 0; i < kMembers; i++) members[i] = i;
      for (size_t i = kMembers; i > 1; i--)
        std::swap(members[i - 1], members[random_->below(static_cast<uint32_t>(i))]);
      for (const size_t member : members) {
        for (const Item& item : stretch) {
          const size_t begin = item.step * batch;
          context.order = setup.order[id].data() + begin;
          context.rows = std::min(batch, samples - begin);
          context.scalars = setup.scalars[id].data() + item.step * program_.scalars;
          context.metrics = reported[item.step].data();
          context.sparse = SparseRows();
          if (lists) {
            context.sparse = context.data->sparse;
            context.sparse.order = context.order;
          }
          if (id == kTrainSection) context.room = rooms_[member];
          const Op& op = section.ops[item.op];
          op.kind->run(context, op, {member, kMembers, scratch_[member].data()});
        }
      }
      stretch.clear();
    };
    bool meets_at_end = true;
    for (const Op& op : section.ops) {
      if (!op.absorbed && op.barrier_before[lists]) meets_at_end = false;
    }
    for (const Op& op : section.ops) meets_at_end = meets_at_end || (op.kind->reports && id == kTrainSection);
    for (size_t step = 0; step < steps; step++) {
      for (size_t i = 0; i < section.ops.size(); i++) {
        if (section.ops[i].absorbed) continue;
        if (section.ops[i].barrier_before[lists]) run_stretch();
        stretch.push_back({step, i});
      }
      if (meets_at_end) run_stretch();
    }
    run_stretch();
    for (size_t step = 0; step < steps; step++) {
      double loss = 0, correct = 0;
      for (size_t row = 0; row < std::min(batch, samples - step * batch); row++) {
        loss += reported[step][row].loss;
        correct += reported[step][row].correct;
      }
      metrics->push_back(loss);
      metrics->push_back(correct);
    }
  }

  void infer(const Setup& setup, std::vector<float>* output) {
    StepContext context = context_of(kInferSection);
    const Section& section = *context.section;
    const Buffer& in = context.buffer(section.input);
    const Buffer& out = context.buffer(section.output);
    const bool is_bytes = !setup.infer_bytes.empty(), lists = in.sparse && random_->below(2) == 0;
    output->resize(setup.infer_rows * out.columns);
    std::vector<Pixel> pixels(lists && is_bytes ? in.elements() + kRoomBehindLists : 0);
    std::vector<NonZero> values(lists && !is_bytes ? in.elements() + kRoomBehindLists : 0);
    std::vector<size_t> starts(in.rows + 1);
    const size_t chunk = 1 + random_->below(static_cast<uint32_t>(section.capacity));
    const Slice slice = {0, 1, scratch_[0].data()};
    for (size_t begin = 0; begin < setup.infer_rows; begin += chunk) {
      context.rows = std::min(chunk, setup.infer_rows - begin);
      const uint8_t* bytes = is_bytes ? setup.infer_bytes.data() + begin * in.columns : nullptr;
      const float* floats = is_bytes ? nullptr : setup.infer_floats.data() + begin * in.columns;
      if (lists) {
        Pixel* const pixel_lists = is_bytes ? pixels.data() : nullptr;
        NonZero* const value_lists = is_bytes ? nullptr : values.data();
        kernels_->row_lists({bytes, floats, context.rows, in.columns, pixel_lists, value_lists, starts.data()});
        context.sparse = {pixel_lists, value_lists, starts.data(), nullptr};
      } else {
        kernels_->gather({bytes, floats, SparseRows(), nullptr, context.pointer<float>(section.input), context.rows,
                          in.columns, false},
                         slice);
      }
      for (const Op& op : section.ops) op.kind->run(context, op, slice);
      memcpy(output->data() + begin * out.columns, context.pointer<float>(section.output),
             context.rows * out.columns * sizeof(float));
    }
  }

  Program program_;
  const KernelTable* const kernels_;
  Random* const random_;
  std::vector<std::unique_ptr<Region>> regions_;
  std::vector<std::vector<float>> scratch_;
  std::vector<std::vector<NonZero>> column_lists_, row_lists_;
  std::vector<std::vector<void*>> ends_;
  std::vector<std::vector<size_t>> starts_;
  std::vector<ListRoom> rooms_;
};

std::string mismatch_of(const Results& engine, const Results& team) {
  for (const size_t section : {kTrainSection, kEvaluateSection}) {
    if (engine.metrics[section] != team.metrics[section]) return "metrics of section " + std::to_string(section);
  }
  for (size_t i = 0; i < engine.buffers.size(); i++) {
    if (engine.buffers[i] != team.buffers[i]) return "buffer " + std::to_string(i);
  }
  return engine.output != team.output ? "inferred outputs" : "";
}

bool too_large(const Program& program) {
  size_t bytes = 0;
  for (const size_t size : program.region_sizes) {
    if (size > kMostBytes) return true;
    bytes += size;
  }
  if (bytes > kMostBytes || program.scalars > kMostScalars) return true;
  for (const Section& section : program.sections) {
    if (section.capacity > kMostRows || work_of(program, section) > kMostWork) return true;
  }
  return false;
}

}  // namespace

Outcome run_program(const double* words, size_t count) {
  Outcome outcome;
  Program program;
  outcome.accepted = parse_program(words, count, &program, &outcome.refusal);
  if (!outcome.accepted || too_large(program)) return outcome;
  const Target* targets;
  size_t supported = all_targets(&targets);
  while (supported > 0 && !targets[supported - 1].supported) supported--;
  const uint64_t hash = hash_of(words, count);
  Random random(hash);
  const KernelTable* const kernels = choose_target(nullptr);
  const Setup setup = setup_for(program, *kernels, &random);
  if (!setup.data) return outcome;
  Results by_engine, by_team;
  Willing willing;
  Engine engine;
  if (!engine.open(program, kernels, 1) || !run_engine(&engine, setup, &willing, &by_engine)) return outcome;
  double worth = kAnyMemory;
  for (const size_t size : program.region_sizes) worth += kMostMemory * static_cast<double>(size);
  if (static_cast<double>(engine.memory_bytes()) > worth) {
    outcome.mismatch = "memory of " + std::to_string(engine.memory_bytes()) + " bytes";
    return outcome;
  }
  Team team(program, targets[supported - 1].table, &random);
  team.run(setup, willing, &by_team);
  outcome.ran = true;
  // What is not finite has no bits that all must agree on: products with zeros are skipped or not.
  if (by_engine.finite() && by_team.finite()) outcome.mismatch = mismatch_of(by_engine, by_team);
  return outcome;
}

}  // namespace fuzz
}  // namespace mnist_train
