#include "program_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sstream>

#include "../engine/ops.h"

namespace mnist_train {
namespace fuzz {
namespace {

// The word as a count of what follows; 0 for what is none.
size_t count_of(double word) { return word >= 0 && word <= 1e6 ? static_cast<size_t>(word) : 0; }

std::string text_of_word(double word) {
  if (isnan(word)) return "NaN";
  if (isinf(word)) return word > 0 ? "Infinity" : "-Infinity";
  char text[32];
  snprintf(text, sizeof(text), "%.17g", word);
  return text;
}

}  // namespace

std::vector<WordKind> kinds_of(const Words& words) {
  std::vector<WordKind> kinds(words.size(), WordKind::kOther);
  size_t at = 1;
  const auto mark = [&](WordKind kind) {
    if (at >= words.size()) return 0.0;
    kinds[at] = kind;
    return words[at++];
  };
  for (size_t i = 0; i < kRegionCount; i++) mark(WordKind::kRegionSize);
  mark(WordKind::kOther);
  const size_t buffers = count_of(mark(WordKind::kCount));
  for (size_t i = 0; i < buffers && at < words.size(); i++) {
    for (const WordKind kind : {WordKind::kRegion, WordKind::kFlag, WordKind::kOffset, WordKind::kSize, WordKind::kSize,
                                WordKind::kFlag, WordKind::kFlag}) {
      mark(kind);
    }
  }
  const size_t sections = count_of(mark(WordKind::kCount));
  for (size_t i = 0; i < sections && at < words.size(); i++) {
    mark(WordKind::kSectionId);
    mark(WordKind::kSize);
    mark(WordKind::kEndpoint);
    mark(WordKind::kEndpoint);
    const size_t ops = count_of(mark(WordKind::kCount));
    for (size_t op = 0; op < ops && at < words.size(); op++) {
      const double code = mark(WordKind::kOpCode);
      if (!(code >= 0 && code < static_cast<double>(op_kind_count()))) return kinds;
      for (const char* field = op_kind(static_cast<size_t>(code)).fields; *field; field++) {
        mark(*field == 'v' ? WordKind::kValue : WordKind::kBufferIndex);
      }
    }
  }
  return kinds;
}

std::string text_of(const Words& words) {
  const std::vector<WordKind> kinds = kinds_of(words);
  std::string text;
  for (size_t i = 0; i < words.size(); i++) {
    const bool first_of_buffer = kinds[i] == WordKind::kRegion, op = kinds[i] == WordKind::kOpCode;
    const bool section = kinds[i] == WordKind::kSectionId;
    const bool sections = kinds[i] == WordKind::kCount && kinds[i - 1] == WordKind::kFlag;
    if (i > 0) text += first_of_buffer || op || section || sections ? '\n' : ' ';
    const double code = words[i];
    const bool named = op && code >= 0 && code < static_cast<double>(op_kind_count()) && code == floor(code);
    text += named ? op_kind(static_cast<size_t>(code)).name : text_of_word(code);
  }
  return text + "\n";
}

bool words_of(const std::string& text, Words* words, std::string* error) {
  words->clear();
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] == '#') continue;
    std::istringstream tokens(line);
    for (std::string token; tokens >> token;) {
      char* end = nullptr;
      double word = strtod(token.c_str(), &end);
      if (*end != '\0') {
        size_t code = 0;
        while (code < op_kind_count() && token != op_kind(code).name) code++;
        if (code == op_kind_count()) {
          *error = "neither a number nor an op: " + token;
          return false;
        }
        word = static_cast<double>(code);
      }
      words->push_back(word);
    }
  }
  return true;
}

bool read_file(const std::string& path, std::string* contents) {
  FILE* const file = fopen(path.c_str(), "rb");
  if (!file) return false;
  contents->clear();
  char part[4096];
  for (size_t got; (got = fread(part, 1, sizeof(part), file)) > 0;) contents->append(part, got);
  return fclose(file) == 0;
}

}  // namespace fuzz
}  // namespace mnist_train
