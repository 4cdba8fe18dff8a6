#include "program.h"

#include <ctype.h>
#include <string.h>

#include <algorithm>

#include "memory.h"
#include "ops.h"
#include "program_checks.h"

namespace mnist_train {
namespace {

constexpr double kFormatVersion = 2;
// Far above what fits in memory, far below what a size_t product of two could overflow.
constexpr double kLargestSize = 1099511627776.0;  // 2^40
// More than networks of a thousand layers have, few enough for what takes the square of them in schedule().
constexpr double kMostBuffers = 1 << 16, kMostOps = 1 << 15;
// Scratch memory is in proportion to what an op touches: convolutions in wide strides, or of thin images in kernels
// that are long the other way, would else ask for gigabytes with a few hundred kilobytes of buffers.
constexpr size_t kAnyScratch = size_t{1} << 20;  // floats
constexpr double kMostScratch = 256;

// Takes words one after the other. After the first failure every call fails.
class Reader {
 public:
  Reader(const double* words, size_t count, std::string* error) : words_(words), count_(count), error_(error) {}

  bool ok() const { return ok_; }

  bool fail(const std::string& message) {
    if (ok_) *error_ = message + " (word " + std::to_string(position_) + ")";
    ok_ = false;
    return false;
  }

  double number(const char* what) {
    if (!ok_) return 0;
    if (position_ >= count_) {
      fail(std::string("the program ends before its ") + what);
      return 0;
    }
    return words_[position_++];
  }

  // A whole number from minimum to maximum; minimum after a failure.
  double whole(const char* what, double minimum, double maximum) {
    const double value = number(what);
    if (!ok_) return minimum;
    // Written so that NaN fails; conversion is safe once the range is known.
    if (!(value >= minimum && value <= maximum) || value != static_cast<double>(static_cast<int64_t>(value))) {
      fail(std::string("bad ") + what);
      return minimum;
    }
    return value;
  }

  size_t size(const char* what, double maximum = kLargestSize) { return static_cast<size_t>(whole(what, 0, maximum)); }

  bool at_end() const { return position_ == count_; }

 private:
  const double* words_;
  size_t count_;
  size_t position_ = 0;
  std::string* error_;
  bool ok_ = true;
};

bool parse_buffer(Reader& reader, Program* program) {
  Buffer buffer;
  buffer.region = static_cast<Region>(reader.size("region", kRegionCount - 1));
  buffer.type = static_cast<ElementType>(reader.size("element type", 1));
  buffer.offset = reader.size("offset");
  buffer.rows = reader.size("rows");
  buffer.columns = reader.size("columns");
  buffer.batched = reader.size("batched flag", 1) != 0;
  buffer.sparse = reader.size("sparse flag", 1) != 0;
  if (!reader.ok()) return false;
  if (buffer.rows == 0 || buffer.columns == 0) return reader.fail("a buffer has no elements");
  if (buffer.offset % kAlignment != 0) return reader.fail("a buffer is not aligned");
  const double bytes = static_cast<double>(buffer.rows) * static_cast<double>(buffer.columns) * 4.0;
  if (static_cast<double>(buffer.offset) + bytes > static_cast<double>(program->region_sizes[buffer.region])) {
    return reader.fail("a buffer lies outside its region");
  }
  if (buffer.batched && (buffer.region == kParameters || buffer.region == kSlots)) {
    return reader.fail("parameters and slots are not batched");
  }
  if (buffer.sparse && (!buffer.batched || buffer.type != ElementType::kFloat32)) {
    return reader.fail("only float32 batches can be sparse");
  }
  program->buffers.push_back(buffer);
  return true;
}

// A buffer of an op or an endpoint: in the section's own region, or, where allowed, in persistent memory.
bool check_access(Reader& reader, const Program& program, int index, SectionId section, bool writes) {
  const Buffer& buffer = program.buffers[static_cast<size_t>(index)];
  const bool persistent = buffer.region == kParameters || buffer.region == kSlots;
  if (!persistent && buffer.region != static_cast<Region>(kTrain + section)) {
    return reader.fail("an op reaches into another section");
  }
  // Evaluation and inference read parameters that other threads may be reading too.
  if (persistent && section != kTrainSection && writes) {
    return reader.fail("only training may change parameters and slots");
  }
  // Inference goes on beside training, and slots have no copy that was published.
  if (buffer.region == kSlots && section == kInferSection) return reader.fail("inference must not see slots");
  if (buffer.batched && buffer.rows != program.sections[section].capacity) {
    return reader.fail("a batched buffer does not have the section's capacity");
  }
  return true;
}

bool is_op(const Op& op, const char* name) { return strcmp(op.kind->name, name) == 0; }

// What an op touches for one sample.
double elements_of(const Program& program, const Op& op) {
  double elements = 0;
  for (const int index : op.buffers) {
    if (index == kNoBuffer) continue;
    const Buffer& b = program.buffers[static_cast<size_t>(index)];
    elements += static_cast<double>(b.batched ? b.columns : b.elements());
  }
  return elements;
}

bool parse_op(Reader& reader, Program* program, SectionId section) {
  const double most_buffers = static_cast<double>(program->buffers.size()) - 1;
  Op op;
  op.kind = &op_kind(reader.size("op", static_cast<double>(op_kind_count() - 1)));
  op.barrier_before[0] = op.barrier_before[1] = true;
  op.weights_update = op.bias_update = kNoOp;
  op.absorbed = false;
  size_t buffers = 0, values = 0;
  for (size_t i = 0; i < kMaxOpBuffers; i++) op.buffers[i] = kNoBuffer;
  for (size_t i = 0; i < kMaxOpValues; i++) op.values[i] = 0;
  for (const char* field = op.kind->fields; *field; field++) {
    if (*field == 'v') {
      const double value = reader.number("value");
      if (value != value) return reader.fail("a value is not a number");
      op.values[values++] = value;
      continue;
    }
    const bool optional = isupper(*field) != 0;
    const int index = static_cast<int>(reader.whole("buffer", optional ? kNoBuffer : 0, most_buffers));
    if (!reader.ok()) return false;
    op.buffers[buffers++] = index;
    const bool writes = tolower(*field) != 'r';
    if (index == kNoBuffer) continue;
    if (!check_access(reader, *program, index, section, writes)) return false;
    if (program->buffers[static_cast<size_t>(index)].sparse && op.kind->sparse_field != static_cast<int>(buffers) - 1) {
      return reader.fail(std::string(op.kind->name) + " cannot take a sparse buffer here");
    }
    // It makes lists by columns of them, and only members that train have the room.
    if (program->buffers[static_cast<size_t>(index)].sparse && section != kTrainSection && is_op(op, "denseBackward")) {
      return reader.fail("denseBackward takes sparse buffers only in training");
    }
  }
  if (!reader.ok()) return false;
  if (op.kind->needs_data && section == kInferSection) return reader.fail(std::string(op.kind->name) + " cannot infer");
  if (const char* wrong = op.kind->check(*program, op)) return reader.fail(std::string(op.kind->name) + ": " + wrong);
  if (op.kind->scratch) {
    const size_t floats = op.kind->scratch(*program, op);
    if (floats > kAnyScratch && static_cast<double>(floats) > kMostScratch * elements_of(*program, op)) {
      return reader.fail(std::string(op.kind->name) + " takes too much memory for the size of its buffers");
    }
    if (floats > program->scratch_floats) program->scratch_floats = floats;
  }
  Section& own = program->sections[section];
  if (op.kind->reports && own.reports) return reader.fail("a section has two losses");
  own.reports = own.reports || op.kind->reports;
  own.ops.push_back(op);
  return true;
}

// A denseBackward with `update` does the work of the optimizer ops that follow it. The gradients then have no other
// reader: nothing is written to their buffers.
bool absorb_updates(Reader& reader, Section* section) {
  const auto absorb = [&](size_t owner, size_t at, int gradient, int* update) {
    if (at >= section->ops.size()) return reader.fail("an update is missing");
    Op& op = section->ops[at];
    if (!op.kind->is_update || op.buffers[1] != gradient) return reader.fail("an update is missing");
    op.absorbed = true;
    *update = static_cast<int>(at);
    return owner < at;
  };
  std::vector<int> unwritten;
  for (size_t i = 0; i < section->ops.size(); i++) {
    Op& op = section->ops[i];
    if (!is_op(op, "denseBackward") || op.values[0] == 0) continue;
    if (op.buffers[3] == kNoBuffer) return reader.fail("an update has no gradient");
    unwritten.push_back(op.buffers[3]);
    if (!absorb(i, i + 1, op.buffers[3], &op.weights_update)) return false;
    if (op.buffers[4] == kNoBuffer) continue;
    unwritten.push_back(op.buffers[4]);
    if (!absorb(i, i + 2, op.buffers[4], &op.bias_update)) return false;
  }
  if (unwritten.empty()) return true;
  std::sort(unwritten.begin(), unwritten.end());
  const bool twice = std::adjacent_find(unwritten.begin(), unwritten.end()) != unwritten.end();
  bool touched = twice;
  for (const Op& op : section->ops) {
    const bool absorbs = op.weights_update != kNoOp;
    for (size_t field = 0; field < kMaxOpBuffers; field++) {
      if ((op.absorbed && field == 1) || (absorbs && (field == 3 || field == 4))) continue;
      touched = touched || std::binary_search(unwritten.begin(), unwritten.end(), op.buffers[field]);
    }
  }
  return touched ? reader.fail("a gradient that an update takes in its place is used elsewhere") : true;
}

bool parse_section(Reader& reader, Program* program) {
  const SectionId id = static_cast<SectionId>(reader.size("section", kSectionCount - 1));
  Section& section = program->sections[id];
  if (section.present) return reader.fail("a section stands twice");
  section.present = true;
  section.capacity = reader.size("capacity", 1 << 30);
  const double most_buffers = static_cast<double>(program->buffers.size()) - 1;
  section.input = static_cast<int>(reader.whole("input", kNoBuffer, most_buffers));
  section.output = static_cast<int>(reader.whole("output", kNoBuffer, most_buffers));
  if (reader.ok() && section.capacity == 0) return reader.fail("a section has no capacity");
  for (const int endpoint : {section.input, section.output}) {
    if (!reader.ok()) return false;
    if (endpoint == kNoBuffer) continue;
    const Buffer& buffer = program->buffers[static_cast<size_t>(endpoint)];
    if (!buffer.batched || buffer.type != ElementType::kFloat32)
      return reader.fail("an endpoint is not a float32 batch");
    if (!check_access(reader, *program, endpoint, id, true)) return false;
  }
  if (id == kInferSection && (section.input == kNoBuffer || section.output == kNoBuffer)) {
    return reader.fail("the infer section needs an input and an output");
  }
  for (size_t i = 0; i < program->buffers.size() && id == kInferSection; i++) {
    const bool input = static_cast<int>(i) == section.input;
    if (program->buffers[i].region == kInfer && program->buffers[i].sparse && !input) {
      return reader.fail("only the input of an infer section can be sparse");
    }
  }
  const size_t ops = reader.size("number of ops", kMostOps);
  for (size_t i = 0; i < ops && reader.ok(); i++) parse_op(reader, program, id);
  if (!reader.ok()) return false;
  if (!absorb_updates(reader, &section)) return false;
  for (const Op& op : section.ops) {
    const char* wrong = op.absorbed ? nullptr : check_overlap(*program, section, op);
    if (wrong) return reader.fail(std::string(op.kind->name) + ": " + wrong);
  }
  if (const char* wrong = check_flow(*program, id)) return reader.fail(wrong);
  return reader.ok();
}

}  // namespace

bool parse_program(const double* words, size_t count, Program* program, std::string* error) {
  Reader reader(words, count, error);
  *program = Program();
  if (reader.number("version") != kFormatVersion) return reader.fail("unknown version of the program format");
  for (size_t& size : program->region_sizes) size = reader.size("region size");
  program->scalars = reader.size("number of scalars", 1 << 20);
  const size_t buffers = reader.size("number of buffers", kMostBuffers);
  for (size_t i = 0; i < buffers && reader.ok(); i++) parse_buffer(reader, program);
  if (const char* wrong = reader.ok() ? check_places(*program) : nullptr) return reader.fail(wrong);
  const size_t sections = reader.size("number of sections", kSectionCount);
  for (size_t i = 0; i < sections && reader.ok(); i++) parse_section(reader, program);
  if (reader.ok() && !reader.at_end()) reader.fail("words follow the program");
  return reader.ok();
}

}  // namespace mnist_train
