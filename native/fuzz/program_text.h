// Programs as text and as files of words, and where in a program's words what stands.
#ifndef MNIST_TRAIN_FUZZ_PROGRAM_TEXT_H_
#define MNIST_TRAIN_FUZZ_PROGRAM_TEXT_H_

#include <stddef.h>

#include <string>
#include <vector>

namespace mnist_train {
namespace fuzz {

using Words = std::vector<double>;

enum class WordKind {
  kOther,  // also all words behind the place where a program stops making sense
  kRegionSize,
  kSectionId,
  kCount,  // of buffers, sections or ops
  kRegion,
  kFlag,  // also the element type
  kOffset,
  kSize,  // of a buffer, or a section's capacity
  kEndpoint,
  kOpCode,
  kBufferIndex,
  kValue
};

// What each word is, as far as it can be told.
std::vector<WordKind> kinds_of(const Words& words);

// Words are separated by blanks; ops are called by their names, so that the text outlives the order of ops. Lines that
// begin with # are comments.
std::string text_of(const Words& words);
bool words_of(const std::string& text, Words* words, std::string* error);

bool read_file(const std::string& path, std::string* contents);

}  // namespace fuzz
}  // namespace mnist_train

#endif  // MNIST_TRAIN_FUZZ_PROGRAM_TEXT_H_
