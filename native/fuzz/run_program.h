// Runs a program of any words in two ways that must agree: by the engine, and by a team of three that goes through it
// as unluckily as its barriers allow, in memory where every buffer lies apart, with another instruction set.
#ifndef MNIST_TRAIN_FUZZ_RUN_PROGRAM_H_
#define MNIST_TRAIN_FUZZ_RUN_PROGRAM_H_

#include <stddef.h>

#include <string>

namespace mnist_train {
namespace fuzz {

struct Outcome {
  bool accepted = false;
  bool ran = false;     // false for accepted programs that are too large for a fuzzer
  std::string refusal;  // what parse_program() said
  std::string
      mismatch;  // what the two ways do not agree on, or memory beyond the program's worth; empty when all is well
};

Outcome run_program(const double* words, size_t count);

}  // namespace fuzz
}  // namespace mnist_train

#endif  // MNIST_TRAIN_FUZZ_RUN_PROGRAM_H_
