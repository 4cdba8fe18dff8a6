// A tool around the fuzzer: `program_words ops` lists the ops in the order of their codes, `program_words text FILE`
// shows a file of words, such as one that the fuzzer left, as text for native/fuzz/corpus, and `program_words words
// FILE OUT` makes such a file of a text.
// `program_words run FILE` says what becomes of a file of words.
#include <stdio.h>
#include <string.h>

#include "../engine/ops.h"
#include "program_text.h"
#include "run_program.h"

int main(int count, char** arguments) {
  using namespace mnist_train;
  using namespace mnist_train::fuzz;
  const auto is = [&](const char* command, int wanted) {
    return count == wanted && strcmp(arguments[1], command) == 0;
  };
  std::string contents, error;
  Words words;
  if (is("ops", 2)) {
    for (size_t i = 0; i < op_kind_count(); i++) printf("%s\n", op_kind(i).name);
    return 0;
  }
  if ((is("text", 3) || is("run", 3)) && read_file(arguments[2], &contents)) {
    words.resize(contents.size() / sizeof(double));
    memcpy(words.data(), contents.data(), words.size() * sizeof(double));
    if (is("text", 3)) {
      fputs(text_of(words).c_str(), stdout);
      return 0;
    }
    const Outcome outcome = run_program(words.data(), words.size());
    if (!outcome.accepted) printf("refused: %s\n", outcome.refusal.c_str());
    if (outcome.accepted) puts(outcome.ran ? "ran" : "accepted, too large to be run here");
    if (!outcome.mismatch.empty()) printf("MISMATCH: %s\n", outcome.mismatch.c_str());
    return outcome.mismatch.empty() ? 0 : 1;
  }
  if (is("words", 4) && read_file(arguments[2], &contents)) {
    FILE* const out = words_of(contents, &words, &error) ? fopen(arguments[3], "wb") : nullptr;
    if (out && fwrite(words.data(), sizeof(double), words.size(), out) == words.size() && fclose(out) == 0) return 0;
  }
  fprintf(stderr, "Expected: ops, text FILE, run FILE, or words FILE OUT. %s\n", error.c_str());
  return 2;
}
