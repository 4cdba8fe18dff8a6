// Programs that were once taken although they should not have been, or ran into trouble: native/fuzz/corpus. The first
// line of each says what becomes of it now: "# refused: " and a part of the reason, or "# runs".
#include <stdlib.h>

#include "../fuzz/program_text.h"
#include "../fuzz/run_program.h"
#include "check.h"

namespace mnist_train {
namespace test {
namespace {

void test_case(const std::string& path) {
  std::string text, error;
  fuzz::Words words;
  if (!CHECK_MESSAGE(fuzz::read_file(path, &text), path) ||
      !CHECK_MESSAGE(fuzz::words_of(text, &words, &error), path + ": " + error)) {
    return;
  }
  const std::string first = text.substr(0, text.find('\n')), refused = "# refused: ";
  const fuzz::Outcome outcome = fuzz::run_program(words.data(), words.size());
  CHECK_MESSAGE(outcome.mismatch.empty(), path + ": " + outcome.mismatch);
  if (first == "# runs") {
    CHECK_MESSAGE(outcome.ran, path + " is not run: " + outcome.refusal);
    return;
  }
  CHECK_MESSAGE(first.compare(0, refused.size(), refused) == 0, path + " does not say what is expected of it");
  const std::string reason = first.size() > refused.size() ? first.substr(refused.size()) : "?";
  CHECK_MESSAGE(!outcome.accepted && outcome.refusal.find(reason) != std::string::npos,
                path + ": " + (outcome.accepted ? "taken" : outcome.refusal));
}

// What is written as text is read as the same words.
void test_text() {
  const fuzz::Words words = {2, 64, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1.0 / 3, 0, 0, 1, 0, 4, -1, -1, 1, 1, -0.5};
  fuzz::Words again;
  std::string error;
  CHECK_MESSAGE(fuzz::words_of("# a comment\n" + fuzz::text_of(words), &again, &error), error);
  CHECK(again == words);
  CHECK(!fuzz::words_of("2 0 nonsense", &again, &error));
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main(int count, char** paths) {
  using namespace mnist_train::test;
  test_text();
  CHECK_MESSAGE(count > 1, "there are no cases");
  for (int i = 1; i < count; i++) test_case(paths[i]);
  return report("program_corpus_test");
}
