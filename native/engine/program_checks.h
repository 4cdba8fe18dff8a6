// What parse_program() checks besides words, sections and the shapes of each op: where buffers lie.
#ifndef MNIST_TRAIN_ENGINE_PROGRAM_CHECKS_H_
#define MNIST_TRAIN_ENGINE_PROGRAM_CHECKS_H_

#include "program.h"

namespace mnist_train {

// Each returns null, or what is wrong.

// Regions are as large as their buffers ask for. What outlives a step, and what training leaves to be read, does not
// overlap: buffers are laid out each in its own way, and values are read and written by buffer.
const char* check_places(const Program& program);

// An op writes to none of the buffers that it, or an update that it does the work of, also touches: members of a team
// would see each other's results or not, as it happens. Element by element an output may be the input, whole.
const char* check_overlap(const Program& program, const Section& section, const Op& op);

// What evaluation and inference read of their own memory, and inference's output, was written before in the same step,
// and not overwritten by what shares its space: what steps before left there depends on threads and chunks. In any
// section, samples that may be lists have come from `gather` or are inference's input.
const char* check_flow(const Program& program, SectionId id);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_PROGRAM_CHECKS_H_
