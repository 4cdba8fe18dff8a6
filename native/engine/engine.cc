#include "engine.h"

#include <string.h>

#include <new>
#include <utility>

#include "../kernels/partition.h"

namespace mnist_train {
namespace {

size_t rounded_up(size_t value, size_t grain) { return (value + grain - 1) / grain * grain; }

}  // namespace

// Room for lists, for each member: of the samples' columns where they may be lists themselves, and, unless batches are
// too large for that, of the rows and columns of the widest batch that a dense layer of training reads, input or
// gradient. Pages that nobody touches cost nothing.
bool Engine::open_list_rooms() {
  constexpr size_t kMostRowEntries = size_t{1} << 22;
  const size_t capacity = program_.sections[kTrainSection].capacity;
  size_t columns = 0, sparse_columns = 0;
  for (const Op& op : program_.sections[kTrainSection].ops) {
    if (op.kind->sparse_field < 0) continue;
    for (const int index : op.buffers) {
      if (index == kNoBuffer) continue;
      const Buffer& b = program_.buffers[static_cast<size_t>(index)];
      if (b.batched) columns = larger(columns, b.columns);
      if (b.sparse) sparse_columns = larger(sparse_columns, b.columns);
    }
  }
  if (columns == 0) {
    list_rooms_.resize(threads(), ListRoom{});
    return true;
  }
  const bool with_rows = columns * capacity <= kMostRowEntries;
  if (!with_rows) columns = sparse_columns;
  // One cache line more than the capacity: lists a power of two apart would share a few sets of the cache.
  const size_t stride = rounded_up(capacity, 16) + 16;
  const size_t column_bytes = columns * stride * sizeof(NonZero), ends_bytes = columns * sizeof(void*);
  const size_t starts_bytes = with_rows ? (capacity + 1) * sizeof(size_t) : 0;
  const size_t row_bytes = with_rows ? (columns * capacity + kRoomBehindLists) * sizeof(NonZero) : 0;
  for (size_t member = 0; member < threads(); member++) {
    list_memory_.emplace_back(new (std::nothrow) AlignedMemory());
    AlignedMemory* const memory = list_memory_.back().get();
    if (!memory || !memory->allocate(column_bytes + ends_bytes + starts_bytes + row_bytes)) return false;
    char* const ends = memory->data() + column_bytes;
    char* const starts = ends + ends_bytes;
    NonZero* const rows = with_rows ? reinterpret_cast<NonZero*>(starts + starts_bytes) : nullptr;
    list_rooms_.push_back(
        {memory->data(), stride, reinterpret_cast<void**>(ends), rows, reinterpret_cast<size_t*>(starts)});
    memory_bytes_ += memory->size();
  }
  return true;
}

bool Engine::open(Program program, const KernelTable* kernels, size_t threads) {
  program_ = std::move(program);
  if (program_.sections[kTrainSection].capacity > kMostPixelIndices) {
    for (Buffer& b : program_.buffers) b.sparse = false;  // a row would not fit in a list's entry
  }
  schedule(&program_, threads);
  kernels_ = kernels;
  team_.reset(new (std::nothrow) ThreadTeam(threads));
  if (!team_) return false;
  memory_bytes_ = 0;
  for (size_t region = 0; region < kRegionCount; region++) {
    if (region == kInfer) continue;  // each lane has its own
    if (!regions_[region].allocate(program_.region_sizes[region])) return false;
    memory_bytes_ += program_.region_sizes[region];
  }
  // A stretch of scratch memory ends on a cache line of its own, so that threads do not share one.
  scratch_stride_ = rounded_up(program_.scratch_floats, 16);
  if (!scratch_.allocate(scratch_stride_ * threads * sizeof(float))) return false;
  memory_bytes_ += scratch_.size() + program_.region_sizes[kParameters];
  size_t reporting = 0;
  for (const Section& section : program_.sections) {
    if (section.reports) reporting = larger(reporting, section.capacity);
  }
  for (AlignedMemory& metrics : row_metrics_) {
    if (!metrics.allocate(reporting * sizeof(RowMetrics))) return false;
    memory_bytes_ += metrics.size();
  }
  estimate_care();
  // All zeros, as the parameters are: memory that is not touched costs nothing.
  published_.reset(new (std::nothrow) AlignedMemory());
  if (!published_ || !published_->allocate(program_.region_sizes[kParameters])) return false;
  return open_list_rooms() && open_lanes();
}

bool Engine::accessible(const Buffer& buffer) const {
  return buffer.region != kEvaluate && buffer.region != kInfer && !buffer.sparse;
}

void Engine::read(const Buffer& buffer, RowRange rows, float* values) const {
  copy_out(buffer, rows, regions_[buffer.region].data(), values);
}

void Engine::read_published(const std::vector<const Buffer*>& buffers, float* values) {
  const Published parameters(this);
  for (const Buffer* buffer : buffers) {
    copy_out(*buffer, {0, buffer->rows}, parameters.data(), values);
    values += buffer->elements();
  }
}

void Engine::copy_out(const Buffer& buffer, RowRange rows, const char* region, float* values) {
  const char* const data = region + buffer.offset;
  if (buffer.type == ElementType::kInt32) {
    const int32_t* const integers = reinterpret_cast<const int32_t*>(data) + rows.first * buffer.columns;
    for (size_t i = 0; i < rows.count * buffer.columns; i++) values[i] = static_cast<float>(integers[i]);
    return;
  }
  const float* const stored = reinterpret_cast<const float*>(data);
  for_columns({buffer.rows, buffer.columns, buffer.layout_parts}, {0, buffer.columns}, buffer.columns,
              [&](const Columns& c) {
                const float* from = stored + c.offset + rows.first * c.stride;
                for (size_t row = 0; row < rows.count; row++, from += c.stride) {
                  memcpy(values + row * buffer.columns + c.column, from, c.width * sizeof(float));
                }
              });
}

void Engine::write(const Buffer& buffer, RowRange rows, const float* values) {
  unpublished_.reset();  // what was copied of it may be older
  published_as_they_are_ = false;
  char* const data = regions_[buffer.region].data() + buffer.offset;
  if (buffer.type == ElementType::kInt32) {
    int32_t* const integers = reinterpret_cast<int32_t*>(data) + rows.first * buffer.columns;
    for (size_t i = 0; i < rows.count * buffer.columns; i++) {
      // A float outside int32 has no conversion; such a class does not exist anyway.
      const bool fits = values[i] >= -2147483648.0f && values[i] < 2147483648.0f;
      integers[i] = fits ? static_cast<int32_t>(values[i]) : -1;
    }
    return;
  }
  float* const stored = reinterpret_cast<float*>(data);
  for_columns({buffer.rows, buffer.columns, buffer.layout_parts}, {0, buffer.columns}, buffer.columns,
              [&](const Columns& c) {
                float* to = stored + c.offset + rows.first * c.stride;
                for (size_t row = 0; row < rows.count; row++, to += c.stride) {
                  memcpy(to, values + row * buffer.columns + c.column, c.width * sizeof(float));
                }
              });
}

namespace {

// What is finite gives 0 times itself, so that the sum of that is 0 too: no branches, and bits do not matter.
bool are_finite(const float* values, size_t count) {
  constexpr size_t kLanes = 16;
  float sums[kLanes] = {};
  for (size_t i = 0; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; lane++) sums[lane] += values[i + lane] * 0.0f;
  }
  for (size_t i = count / kLanes * kLanes; i < count; i++) sums[0] += values[i] * 0.0f;
  for (const float sum : sums) {
    if (!(sum == 0)) return false;
  }
  return true;
}

// Parameters that several threads copy, and look at while they are in the cache.
struct Copy {
  char* to;
  const char* from;
  size_t bytes, threads;
  std::atomic<bool> finite;
};

void copy_share(size_t member, void* argument) {
  constexpr size_t kAtOnce = size_t{1} << 14;
  Copy& copy = *static_cast<Copy*>(argument);
  const Range bytes = share(copy.bytes, 64, {member, copy.threads, nullptr});
  bool finite = true;
  for (size_t at = bytes.begin; at < bytes.end; at += kAtOnce) {
    const size_t part = smaller(kAtOnce, bytes.end - at);
    memcpy(copy.to + at, copy.from + at, part);
    finite = finite && are_finite(reinterpret_cast<const float*>(copy.to + at), part / sizeof(float));
  }
  if (!finite) copy.finite.store(false, std::memory_order_relaxed);
}

}  // namespace

bool Engine::parameters_are_finite() const {
  if (published_as_they_are_) return published_are_finite_;
  const AlignedMemory& parameters = regions_[kParameters];
  return are_finite(reinterpret_cast<const float*>(parameters.data()), parameters.size() / sizeof(float));
}

bool Engine::publish(size_t threads) {
  constexpr size_t kWorthATeam = size_t{1} << 20;  // bytes
  unpublished_.reset();
  if (!begin_publishing()) return false;
  const AlignedMemory& parameters = regions_[kParameters];
  Copy copy = {unpublished_->data(),
               parameters.data(),
               parameters.size(),
               parameters.size() < kWorthATeam ? 1 : threads,
               {true}};
  team_->run(copy.threads, &copy_share, &copy);
  end_publishing();
  published_as_they_are_ = true;
  published_are_finite_ = copy.finite.load(std::memory_order_relaxed);
  return true;
}

bool Engine::publish_part(size_t bytes, bool* published) {
  if (!unpublished_ && !begin_publishing()) return false;
  const AlignedMemory& parameters = regions_[kParameters];
  const size_t rest = parameters.size() - published_bytes_;
  const size_t part = bytes < rest ? bytes : rest;
  memcpy(unpublished_->data() + published_bytes_, parameters.data() + published_bytes_, part);
  published_bytes_ += part;
  *published = published_bytes_ == parameters.size();
  if (*published) end_publishing();
  return true;
}

// Takes the block published before where nobody reads it any more.
bool Engine::begin_publishing() {
  published_bytes_ = 0;
  {
    std::lock_guard<std::mutex> lock(published_mutex_);
    if (spare_ && spare_.use_count() == 1) unpublished_ = std::move(spare_);
  }
  if (unpublished_) return true;
  unpublished_.reset(new (std::nothrow) AlignedMemory());
  if (unpublished_ && unpublished_->allocate(regions_[kParameters].size())) return true;
  unpublished_.reset();
  return false;
}

void Engine::end_publishing() {
  std::lock_guard<std::mutex> lock(published_mutex_);
  spare_ = std::move(published_);
  published_ = std::move(unpublished_);
}

Engine::Published::Published(Engine* engine) : engine_(engine) {
  std::lock_guard<std::mutex> lock(engine->published_mutex_);
  block_ = engine->published_;
}

Engine::Published::~Published() {
  std::lock_guard<std::mutex> lock(engine_->published_mutex_);
  block_.reset();
}

const char* Engine::check(const Run& run) const {
  const Section& section = program_.sections[run.section];
  if (!section.present) return "the program has no such section";
  if (run.batch_size == 0 || run.batch_size > section.capacity)
    return "the batch size is not within the section's capacity";
  if (run.order.empty()) return "the order is empty";
  if (run.scalars.size() != run.steps * program_.scalars) return "there must be one row of scalars per step";
  for (const Op& op : section.ops) {
    const int sparse = op.kind->sparse_field < 0 ? kNoBuffer : op.buffers[op.kind->sparse_field];
    if (sparse != kNoBuffer && run.data && program_.buffers[static_cast<size_t>(sparse)].sparse &&
        run.data->view.columns != program_.buffers[static_cast<size_t>(sparse)].columns) {
      return "the data's samples do not have the input's size";
    }
    if (strcmp(op.kind->name, "gather") != 0) continue;
    if (!run.data) return "the section gathers samples, and no data are bound";
    const DataView& view = run.data->view;
    const Buffer& output = program_.buffers[static_cast<size_t>(op.buffers[0])];
    if (op.values[0] == 0) {
      if (view.columns != output.columns) return "the data's samples do not have the input's size";
    } else if (output.type == ElementType::kInt32) {
      if (view.classes == nullptr || output.columns != 1) return "the section needs class indices as targets";
    } else if (view.targets == nullptr || view.target_columns != output.columns) {
      return "the section needs float targets of the output's size";
    }
  }
  if (run.data) {
    for (const uint32_t index : run.order) {
      if (index >= run.data->view.count) return "the order names a sample that the data do not have";
    }
  }
  return nullptr;
}

}  // namespace mnist_train
