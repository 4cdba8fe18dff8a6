// libFuzzer on programs: bytes are float64 words as Session's constructor gets them. See scripts/fuzz-native.mjs.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "../engine/ops.h"
#include "program_text.h"
#include "run_program.h"

namespace mnist_train {
namespace fuzz {
namespace {

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  size_t below(size_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state_ >> 33) % bound;
  }
  bool one_in(size_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

double interesting(Random* random) {
  static const double kNumbers[] = {0,
                                    -0.0,
                                    -1,
                                    -2,
                                    0.5,
                                    1.5,
                                    -0.5,
                                    0.1,
                                    1e-300,
                                    1e300,
                                    63,
                                    64,
                                    65,
                                    128,
                                    255,
                                    256,
                                    1024,
                                    4096,
                                    65536,
                                    1 << 20,
                                    1 << 24,
                                    1 << 30,
                                    2147483647.0,
                                    2147483648.0,
                                    4294967295.0,
                                    4294967296.0,
                                    1099511627776.0,
                                    9007199254740992.0,
                                    9007199254740993.0,
                                    1.8446744073709552e19,
                                    static_cast<double>(NAN),
                                    static_cast<double>(INFINITY),
                                    -static_cast<double>(INFINITY)};
  if (random->one_in(2)) return static_cast<double>(random->below(20));
  return kNumbers[random->below(sizeof(kNumbers) / sizeof(kNumbers[0]))];
}

// Places of a kind; all places for kOther.
std::vector<size_t> places_of(const std::vector<WordKind>& kinds, WordKind kind) {
  std::vector<size_t> places;
  for (size_t i = 0; i < kinds.size(); i++) {
    if (kinds[i] == kind || kind == WordKind::kOther) places.push_back(i);
  }
  return places;
}

constexpr size_t kHeader = 8, kBufferWords = 7;

size_t buffers_of(const Words& words, const std::vector<WordKind>& kinds) {
  const size_t regions = static_cast<size_t>(std::count(kinds.begin(), kinds.end(), WordKind::kRegion));
  return words.size() >= kHeader + regions * kBufferWords ? regions : 0;
}

// Gives regions the sizes that their buffers ask for, and, where told, buffers places that do not overlap: most changes
// of sizes would be refused for that alone otherwise.
void fit_regions(Words* words, bool apart) {
  const size_t buffers = buffers_of(*words, kinds_of(*words));
  double sizes[kRegionCount] = {};
  for (size_t i = 0; i < buffers; i++) {
    double* const b = words->data() + kHeader + i * kBufferWords;
    if (!(b[0] >= 0 && b[0] < kRegionCount) || !(b[3] * b[4] >= 0 && b[3] * b[4] < 1e12)) continue;
    double& size = sizes[static_cast<size_t>(b[0])];
    if (apart) b[2] = size;
    size = std::max(size, ceil((b[2] + b[3] * b[4] * 4) / 64) * 64);
  }
  for (size_t i = 0; i < kRegionCount && i + 1 < words->size(); i++) (*words)[i + 1] = sizes[i];
}

// The words of one op, and where its section counts ops; empty where there is none.
struct OpPlace {
  size_t begin = 0, end = 0, count = 0;
};

std::vector<OpPlace> ops_of(const std::vector<WordKind>& kinds) {
  std::vector<OpPlace> ops;
  size_t count = 0;
  for (size_t i = 0; i < kinds.size(); i++) {
    if (kinds[i] == WordKind::kCount) count = i;
    if (kinds[i] != WordKind::kOpCode) continue;
    size_t end = i + 1;
    while (end < kinds.size() && (kinds[end] == WordKind::kBufferIndex || kinds[end] == WordKind::kValue)) end++;
    ops.push_back({i, end, count});
  }
  return ops;
}

// One word becomes another that its kind suggests.
void change_word(Words* words, Random* random) {
  static const WordKind kKinds[] = {WordKind::kBufferIndex, WordKind::kBufferIndex, WordKind::kValue, WordKind::kValue,
                                    WordKind::kOffset,      WordKind::kSize,        WordKind::kFlag,  WordKind::kRegion,
                                    WordKind::kOpCode,      WordKind::kEndpoint,    WordKind::kOther};
  const std::vector<WordKind> kinds = kinds_of(*words);
  const WordKind kind = kKinds[random->below(sizeof(kKinds) / sizeof(kKinds[0]))];
  const std::vector<size_t> places = places_of(kinds, kind);
  if (places.empty()) return;
  double& word = (*words)[places[random->below(places.size())]];
  const double other = (*words)[places[random->below(places.size())]];
  const size_t buffers = std::max<size_t>(buffers_of(*words, kinds), 1);
  switch (kind) {
    case WordKind::kBufferIndex:
    case WordKind::kEndpoint:
      word = random->one_in(8) ? -1 : random->one_in(2) ? other : static_cast<double>(random->below(buffers));
      return;
    case WordKind::kFlag:
      word = 1 - word;
      return;
    case WordKind::kRegion:
      word = static_cast<double>(random->below(kRegionCount));
      return;
    case WordKind::kOpCode:
      word = random->one_in(2) ? other : static_cast<double>(random->below(op_kind_count()));
      return;
    case WordKind::kOffset:
      word = random->one_in(2) ? other : word + (random->one_in(2) ? 64 : -64);
      return;
    default:
      break;
  }
  switch (random->below(6)) {
    case 0:
      word += 1;
      return;
    case 1:
      word -= 1;
      return;
    case 2:
      word *= 2;
      return;
    case 3:
      word = other;
      return;
    default:
      word = interesting(random);
  }
}

// All sizes and values of one number become another one: what must agree goes on agreeing.
void change_number(Words* words, Random* random) {
  const std::vector<WordKind> kinds = kinds_of(*words);
  const std::vector<size_t> places = places_of(kinds, random->one_in(3) ? WordKind::kValue : WordKind::kSize);
  if (places.empty()) return;
  const double from = (*words)[places[random->below(places.size())]];
  const double to = random->one_in(2) ? from + static_cast<double>(random->below(3)) - 1 : interesting(random);
  for (size_t i = 0; i < words->size(); i++) {
    if ((kinds[i] == WordKind::kSize || kinds[i] == WordKind::kValue) && (*words)[i] == from) (*words)[i] = to;
  }
}

// An op is repeated, left out, or changes places with another one of its section.
void change_ops(Words* words, Random* random) {
  const std::vector<OpPlace> ops = ops_of(kinds_of(*words));
  if (ops.empty()) return;
  const OpPlace op = ops[random->below(ops.size())], other = ops[random->below(ops.size())];
  const Words copy(words->begin() + static_cast<ptrdiff_t>(op.begin), words->begin() + static_cast<ptrdiff_t>(op.end));
  const auto at = [&](size_t place) { return words->begin() + static_cast<ptrdiff_t>(place); };
  if (random->one_in(2)) {
    (*words)[other.count] += 1;
    words->insert(at(random->one_in(2) ? other.begin : other.end), copy.begin(), copy.end());
  } else {
    (*words)[op.count] -= 1;
    words->erase(at(op.begin), at(op.end));
  }
}

// Two sections change their names and memory.
void change_sections(Words* words, Random* random) {
  const std::vector<WordKind> kinds = kinds_of(*words);
  const double a = static_cast<double>(random->below(kSectionCount)),
               b = static_cast<double>(random->below(kSectionCount));
  for (size_t i = 0; i < words->size(); i++) {
    const double first = kinds[i] == WordKind::kRegion ? kTrain : 0;
    if (kinds[i] != WordKind::kRegion && kinds[i] != WordKind::kSectionId) continue;
    double& word = (*words)[i];
    word = word == first + a ? first + b : word == first + b ? first + a : word;
  }
}

// Only a few of the ops stay: most other changes then leave a program whole that is not refused for the rest of it.
void leave_few_ops(Words* words, Random* random) {
  std::vector<OpPlace> ops = ops_of(kinds_of(*words));
  const size_t kept = 1 + random->below(4);
  while (ops.size() > kept) {
    const size_t at = random->below(ops.size());
    (*words)[ops[at].count] -= 1;
    words->erase(words->begin() + static_cast<ptrdiff_t>(ops[at].begin),
                 words->begin() + static_cast<ptrdiff_t>(ops[at].end));
    ops = ops_of(kinds_of(*words));
  }
}

// One more buffer, like another one.
void add_buffer(Words* words, Random* random) {
  const size_t buffers = buffers_of(*words, kinds_of(*words));
  if (buffers == 0) return;
  const ptrdiff_t from = static_cast<ptrdiff_t>(kHeader + random->below(buffers) * kBufferWords);
  const Words copy(words->begin() + from, words->begin() + from + static_cast<ptrdiff_t>(kBufferWords));
  words->insert(words->begin() + static_cast<ptrdiff_t>(kHeader + buffers * kBufferWords), copy.begin(), copy.end());
  (*words)[kHeader - 1] += 1;
}

// A range of words is copied over others, inserted elsewhere or left out.
void change_range(Words* words, Random* random) {
  if (words->empty()) return;
  const size_t begin = random->below(words->size());
  const size_t length = 1 + random->below(std::min<size_t>(words->size() - begin, 16));
  const auto at = [&](size_t place) { return words->begin() + static_cast<ptrdiff_t>(place); };
  const Words copy(at(begin), at(begin + length));
  const size_t to = random->below(words->size());
  switch (random->below(3)) {
    case 0:
      std::copy(copy.begin(), copy.begin() + static_cast<ptrdiff_t>(std::min(length, words->size() - to)), at(to));
      return;
    case 1:
      words->insert(at(to), copy.begin(), copy.end());
      return;
    default:
      words->erase(at(begin), at(begin + length));
  }
}

Words words_at(const uint8_t* data, size_t size) {
  Words words(size / sizeof(double));
  if (!words.empty()) memcpy(words.data(), data, words.size() * sizeof(double));
  return words;
}

size_t give_back(const Words& words, uint8_t* data, size_t most) {
  const size_t size = std::min(words.size(), most / sizeof(double)) * sizeof(double);
  if (size > 0) memcpy(data, words.data(), size);
  return size;
}

// Printed at the end: a fuzzer whose programs are all refused tests little.
struct Counts {
  size_t accepted = 0, refused = 0;
  ~Counts() { fprintf(stderr, "stat::accepted: %zu\nstat::refused: %zu\n", accepted, refused); }
} counts;

}  // namespace
}  // namespace fuzz
}  // namespace mnist_train

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mnist_train::fuzz;
  const Words words = words_at(data, size);
  const Outcome outcome = run_program(words.data(), words.size());
  (outcome.accepted ? counts.accepted : counts.refused)++;
  if (outcome.mismatch.empty()) return 0;
  fprintf(stderr, "MISMATCH: %s\n", outcome.mismatch.c_str());
  abort();
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned int seed) {
  using namespace mnist_train::fuzz;
  Random random(seed);
  Words words = words_at(data, size);
  for (size_t changes = 1 + random.below(3); changes > 0; changes--) {
    switch (random.below(9)) {
      case 8:
        if (random.one_in(4))
          leave_few_ops(&words, &random);
        else
          change_sections(&words, &random);
        break;
      case 0:
      case 1:
        change_number(&words, &random);
        break;
      case 2:
        change_ops(&words, &random);
        break;
      case 3:
        if (random.one_in(2))
          add_buffer(&words, &random);
        else
          change_range(&words, &random);
        break;
      default:
        change_word(&words, &random);
    }
  }
  if (!random.one_in(3)) fit_regions(&words, random.one_in(2));
  return give_back(words, data, most);
}

// Buffers of one program and sections of the other, or a part of each.
extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size, const uint8_t* second,
                                            size_t second_size, uint8_t* out, size_t most, unsigned int seed) {
  using namespace mnist_train::fuzz;
  Random random(seed);
  const Words a = words_at(first, first_size), b = words_at(second, second_size);
  const auto sections_at = [](const Words& words) {
    return std::min(words.size(), kHeader + buffers_of(words, kinds_of(words)) * kBufferWords);
  };
  const bool at_sections = random.one_in(2);
  const size_t end = at_sections ? sections_at(a) : random.below(a.size() + 1);
  const size_t begin = at_sections ? sections_at(b) : random.below(b.size() + 1);
  Words words(a.begin(), a.begin() + static_cast<ptrdiff_t>(end));
  words.insert(words.end(), b.begin() + static_cast<ptrdiff_t>(begin), b.end());
  return give_back(words, out, most);
}
