#include "program_checks.h"

#include <algorithm>
#include <map>

#include "memory.h"
#include "op_fields.h"

namespace mnist_train {
namespace {

size_t bytes_of(const Buffer& b) { return b.elements() * sizeof(float); }

bool overlap(const Buffer& a, const Buffer& b) {
  return a.region == b.region && a.offset < b.offset + bytes_of(b) && b.offset < a.offset + bytes_of(a);
}

// One of an op's buffers.
struct Field {
  int buffer;
  char letter;  // as in OpKind::fields, in lower case
  size_t place;
};

// Calls visit(Field) for the op's buffers that are not absent.
template <class Visit>
void for_fields(const Op& op, const Visit& visit) {
  size_t place = 0;
  for (const char* letter = op.kind->fields; *letter; letter++) {
    if (*letter == 'v') continue;
    if (op.buffers[place] != kNoBuffer) visit(Field{op.buffers[place], static_cast<char>(*letter | 0x20), place});
    place++;
  }
}

// Whether the last buffer of the op, `output`, may be the other one.
bool in_place(const Op& op, const Field& output, const Field& other) {
  const char* places = op.kind->in_place;
  if (output.buffer != other.buffer || !places) return false;
  size_t buffers = 0;
  for (const char* letter = op.kind->fields; *letter; letter++) buffers += *letter != 'v';
  for (; *places; places++) {
    if (output.place + 1 == buffers && other.place == static_cast<size_t>(*places - '0')) return true;
  }
  return false;
}

}  // namespace

const char* check_places(const Program& program) {
  std::vector<const Buffer*> sorted;
  for (const Buffer& b : program.buffers) sorted.push_back(&b);
  std::sort(sorted.begin(), sorted.end(), [](const Buffer* a, const Buffer* b) {
    return a->region != b->region ? a->region < b->region : a->offset < b->offset;
  });
  size_t ends[kRegionCount] = {};
  for (const Buffer* b : sorted) {
    size_t& end = ends[b->region];
    const bool reused = b->region == kEvaluate || b->region == kInfer;
    if (!reused && b->offset < end) return "buffers overlap";
    end = std::max(end, b->offset + bytes_of(*b));
  }
  for (size_t region = 0; region < kRegionCount; region++) {
    if (program.region_sizes[region] > (ends[region] + kAlignment - 1) / kAlignment * kAlignment) {
      return "a region is larger than its buffers ask for";
    }
  }
  return nullptr;
}

const char* check_overlap(const Program& program, const Section& section, const Op& op) {
  struct Touched {
    Field field;
    const Op* op;
  };
  std::vector<Touched> all;
  for_fields(op, [&](const Field& field) { all.push_back({field, &op}); });
  for (const int update : {op.weights_update, op.bias_update}) {
    if (update == kNoOp) continue;
    const Op& absorbed = section.ops[static_cast<size_t>(update)];
    // Its gradient is one of the buffers above.
    for_fields(absorbed, [&](const Field& field) {
      if (field.place != 1) all.push_back({field, &absorbed});
    });
  }
  for (size_t i = 0; i < all.size(); i++) {
    for (size_t j = 0; j < i; j++) {
      const Touched &a = all[j], &b = all[i];
      if (a.field.letter == 'r' && b.field.letter == 'r') continue;
      const Buffer& first = program.buffers[static_cast<size_t>(a.field.buffer)];
      const Buffer& second = program.buffers[static_cast<size_t>(b.field.buffer)];
      if (!overlap(first, second) || (a.op == b.op && in_place(*b.op, b.field, a.field))) continue;
      // The update of weights that denseBackward read for nothing but their shape.
      if (a.op != b.op && a.op == &op && a.field.place == 1 && a.field.buffer == b.field.buffer) continue;
      return "a buffer that is written overlaps another one";
    }
  }
  return nullptr;
}

const char* check_flow(const Program& program, SectionId id) {
  const Section& section = program.sections[id];
  const Region region = static_cast<Region>(kTrain + id);
  // Training's memory can be written from outside, but for what may be lists.
  const auto checked = [&](const Buffer& b) { return b.region == region && (id != kTrainSection || b.sparse); };
  std::vector<bool> written(program.buffers.size(), false);
  std::map<size_t, int> places;  // of the buffers that were written and do not overlap, by offset
  const auto write = [&](int index) {
    const Buffer& own = program.buffers[static_cast<size_t>(index)];
    if (!checked(own)) return;
    auto at = places.upper_bound(own.offset);
    if (at != places.begin()) at--;
    while (at != places.end() && at->first < own.offset + bytes_of(own)) {
      const size_t other = static_cast<size_t>(at->second);
      if (!overlap(program.buffers[other], own)) {
        at++;
        continue;
      }
      written[other] = false;
      at = places.erase(at);
    }
    places[own.offset] = index;
    written[static_cast<size_t>(index)] = true;
  };
  if (id == kInferSection) write(section.input);
  for (const Op& op : section.ops) {
    bool missing = false;
    for_fields(op, [&](const Field& field) {
      const bool reads = field.letter != 'w';
      const size_t index = static_cast<size_t>(field.buffer);
      missing = missing || (reads && checked(program.buffers[index]) && !written[index]);
    });
    if (missing) return "an op reads what none before it has written";
    for_fields(op, [&](const Field& field) {
      if (field.letter != 'r') write(field.buffer);
    });
  }
  if (id != kInferSection) return nullptr;
  if (program.buffers[static_cast<size_t>(section.output)].sparse) return "the output may be lists";
  return written[static_cast<size_t>(section.output)] ? nullptr : "the output is not written";
}

}  // namespace mnist_train
