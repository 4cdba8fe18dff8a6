// Prepares a program for a team: how matrices are laid out, and where the members must wait for each other.
#include <string.h>

#include <algorithm>

#include "op_fields.h"
#include "program.h"

namespace mnist_train {
namespace {

bool is_op(const Op& op, const char* name) { return strcmp(op.kind->name, name) == 0; }
// Goes through a parameter and what belongs to it (its gradient, its slots, its average) element by element.
bool goes_through(const Op& op) { return op.kind->is_update || is_op(op, "regularize") || is_op(op, "average"); }

// Whether an op follows the weight layout for this buffer; every other op takes it to be row-major.
bool follows_layout(const Op& op, size_t field) {
  if (is_op(op, "dense")) return field == 1 || field == 2;
  if (is_op(op, "denseBackward")) return field == 1 || field == 3 || field == 4;
  if (is_op(op, "clipByValue") || is_op(op, "columnSquares") || is_op(op, "clipByGlobalNorm")) return field == 0;
  return goes_through(op) || is_op(op, "foldBatchNorm") || is_op(op, "maxNorm");
}

// Buffers that must be treated alike, such as a weight matrix, its gradient and its slots; groups may be marked.
class Groups {
 public:
  explicit Groups(size_t buffers) : leaders_(buffers), marked_(buffers, false) {
    for (size_t i = 0; i < buffers; i++) leaders_[i] = i;
  }
  void join(size_t a, size_t b) {
    a = leader(a);
    b = leader(b);
    marked_[a] = marked_[a] || marked_[b];
    leaders_[b] = a;
  }
  void mark(size_t buffer) { marked_[leader(buffer)] = true; }
  bool marked(size_t buffer) { return marked_[leader(buffer)]; }

 private:
  // Halves the way for those who come after, so that it is short however many buffers there are.
  size_t leader(size_t buffer) {
    while (leaders_[buffer] != buffer) buffer = leaders_[buffer] = leaders_[leaders_[buffer]];
    return buffer;
  }

  std::vector<size_t> leaders_;
  std::vector<bool> marked_;
};

// Finds the batches that are divided by parts: those of ops that do so, and of elementwise ops on them.
void mark_parts(Program* program, const Section& section) {
  Groups groups(program->buffers.size());
  for (const Op& op : section.ops) {
    const bool elementwise = op.kind->accesses == accesses_elementwise;
    if (!elementwise && !op.kind->by_parts) continue;
    int first = kNoBuffer;
    for (const int index : op.buffers) {
      if (index == kNoBuffer || !program->buffers[static_cast<size_t>(index)].batched) continue;
      const size_t buffer = static_cast<size_t>(index);
      if (op.kind->by_parts) groups.mark(buffer);
      if (elementwise && first != kNoBuffer) groups.join(static_cast<size_t>(first), buffer);
      first = index;
    }
  }
  for (size_t i = 0; i < program->buffers.size(); i++) {
    program->buffers[i].by_parts = program->buffers[i].by_parts || groups.marked(i);
  }
}

void lay_out_weights(Program* program, size_t members) {
  // Marked are those that stay row-major.
  Groups groups(program->buffers.size());
  const auto visit = [&](const Op& op) {
    const bool backward = is_op(op, "denseBackward"), update = goes_through(op), fold = is_op(op, "foldBatchNorm");
    for (size_t field = 0; field < kMaxOpBuffers; field++) {
      if (op.buffers[field] == kNoBuffer) continue;
      const size_t buffer = static_cast<size_t>(op.buffers[field]);
      if (!follows_layout(op, field)) groups.mark(buffer);
      if ((update && field > 0) || (backward && field == 3) || (fold && field == 6)) {
        groups.join(static_cast<size_t>(op.buffers[backward ? 1 : 0]), buffer);
      }
    }
  };
  for (const Section& section : program->sections) {
    for (const Op& op : section.ops) visit(op);
  }
  for (size_t i = 0; i < program->buffers.size(); i++) {
    Buffer& buffer = program->buffers[i];
    const bool fixed = !buffer.batched && buffer.type == ElementType::kFloat32;
    buffer.layout_parts = fixed && !groups.marked(i) ? members : 0;
  }
}

std::vector<Access> accesses_of(const Program& program, const Section& section, const Op& op, Team team) {
  std::vector<Access> list;
  if (op.kind->accesses) {
    op.kind->accesses(program, section, op, team, &list);
    return list;
  }
  size_t next = 0;
  for (const char* field = op.kind->fields; *field; field++) {
    if (*field == 'v') continue;
    const int buffer = op.buffers[next++];
    if (buffer != kNoBuffer) list.push_back({buffer, Share::kAll, *field != 'r' && *field != 'R'});
  }
  return list;
}

// Whether the op follows the layout of a batch in this field.
bool follows_batch_layout(const Program& program, const Op& op, size_t field) {
  if (is_op(op, "activationBackward")) return field == 0 || op.buffers[1] == op.buffers[2];
  if (!is_op(op, "dense") && !is_op(op, "denseBackward")) return false;
  const bool weights_laid_out = program.buffers[static_cast<size_t>(op.buffers[1])].layout_parts > 0;
  if (is_op(op, "dense")) return field == 0 || (field == 3 && weights_laid_out);
  return field == 0 || field == 5 || (field == 2 && op.buffers[5] == kNoBuffer && weights_laid_out);
}

// Activations and their gradients that are only ever written by columns are laid out like weights: otherwise the rows
// of two threads alternate in memory, and their prefetchers fetch each other's lines. (A step of 784-128-10 took up to
// an eighth longer so.)
void lay_out_batches(Program* program, size_t members) {
  const Section& section = program->sections[kTrainSection];
  std::vector<bool> in_panels(program->buffers.size(), false);
  for (const Op& op : section.ops) {
    for (const Access& access : accesses_of(*program, section, op, {members, false})) {
      if (access.writes) in_panels[static_cast<size_t>(access.buffer)] = true;
    }
  }
  for (const Op& op : section.ops) {
    for (const Access& access : accesses_of(*program, section, op, {members, false})) {
      if (access.writes && access.share != Share::kColumns) in_panels[static_cast<size_t>(access.buffer)] = false;
    }
    for (size_t field = 0; field < kMaxOpBuffers; field++) {
      const int buffer = op.buffers[field];
      if (buffer != kNoBuffer && !follows_batch_layout(*program, op, field)) {
        in_panels[static_cast<size_t>(buffer)] = false;
      }
    }
  }
  for (size_t i = 0; i < program->buffers.size(); i++) {
    Buffer& buffer = program->buffers[i];
    const bool fits = buffer.batched && buffer.region == kTrain && buffer.type == ElementType::kFloat32;
    if (fits && !buffer.sparse && in_panels[i]) buffer.layout_parts = members;
  }
}

// What members may have touched since the last barrier. By buffer, so that it is no larger than the program has
// buffers, however many ops there are between two barriers.
class Touched {
 public:
  explicit Touched(const Program& program) : program_(program), shares_(program.buffers.size()) {}

  // Whether one member may touch bytes that another one changes.
  bool conflicts(const Access& a) const {
    const Shares& own = shares_[static_cast<size_t>(a.buffer)];
    // Those who divide a buffer alike do not meet in it.
    const unsigned alike = a.share == Share::kAll ? 0 : bit(a.share);
    if (((a.writes ? own.read | own.written : own.written) & ~alike) != 0) return true;
    const Buffer& buffer = program_.buffers[static_cast<size_t>(a.buffer)];
    // Only there may buffers share space: see check_places().
    if (buffer.region != kEvaluate && buffer.region != kInfer) return false;
    return std::any_of(buffers_.begin(), buffers_.end(), [&](size_t i) {
      return static_cast<int>(i) != a.buffer && (a.writes || shares_[i].written != 0) &&
             overlap(program_.buffers[i], buffer);
    });
  }

  void add(const Access& a) {
    Shares& own = shares_[static_cast<size_t>(a.buffer)];
    if ((own.read | own.written) == 0) buffers_.push_back(static_cast<size_t>(a.buffer));
    (a.writes ? own.written : own.read) |= bit(a.share);
  }

  // Shares of rows are others in a step of another number of rows.
  void forget_rows() {
    const unsigned kOfRows = bit(Share::kRows) | bit(Share::kParts);
    for (const size_t i : buffers_) {
      for (unsigned* shares : {&shares_[i].read, &shares_[i].written}) {
        if (*shares & kOfRows) *shares = (*shares & ~kOfRows) | bit(Share::kAll);
      }
    }
  }

  void clear() {
    for (const size_t i : buffers_) shares_[i] = Shares();
    buffers_.clear();
  }

 private:
  struct Shares {
    unsigned read = 0, written = 0;  // bits of Share
  };
  static constexpr unsigned bit(Share share) { return 1u << static_cast<unsigned>(share); }
  static bool overlap(const Buffer& a, const Buffer& b) {
    return a.region == b.region && a.offset < b.offset + b.elements() * sizeof(float) &&
           b.offset < a.offset + a.elements() * sizeof(float);
  }

  const Program& program_;
  std::vector<Shares> shares_;
  std::vector<size_t> buffers_;
};

// Finds the ops before which all members must have finished what they touched since the last barrier: where one of them
// could touch what another changes. A step follows a step, so the section is gone through until nothing is added; the
// step before may have had another number of rows, so that its shares of rows mean nothing in the next.
void place_barriers(const Program& program, Section* section, Team team) {
  for (Op& op : section->ops) op.barrier_before[team.lists] = false;
  Touched since(program);
  bool changed = false;
  for (size_t pass = 0; pass < 2 || changed; pass++) {
    changed = false;
    since.forget_rows();
    for (Op& op : section->ops) {
      if (op.absorbed) continue;
      const std::vector<Access> own = accesses_of(program, *section, op, team);
      bool& barrier = op.barrier_before[team.lists];
      const bool needed = std::any_of(own.begin(), own.end(), [&](const Access& a) { return since.conflicts(a); });
      changed = changed || (needed && !barrier);
      barrier = barrier || needed;
      if (barrier) since.clear();
      for (const Access& access : own) since.add(access);
    }
  }
}

}  // namespace

void schedule(Program* program, size_t members) {
  for (const Section& section : program->sections) mark_parts(program, section);
  lay_out_weights(program, members);
  lay_out_batches(program, members);
  for (Section& section : program->sections) {
    for (const bool lists : {false, true}) place_barriers(*program, &section, {members, lists});
  }
}

}  // namespace mnist_train
