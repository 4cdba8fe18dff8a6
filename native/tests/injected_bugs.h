// Bugs on purpose: a sanitizer that says nothing about code is worth something only where it speaks up about these.
// Only builds with -DINJECT=ON have them.
#ifndef MNIST_TRAIN_TESTS_INJECTED_BUGS_H_
#define MNIST_TRAIN_TESTS_INJECTED_BUGS_H_

namespace mnist_train {
namespace test {

// Commits the bug of this name, and returns if it can. False: there is none of this name.
bool inject_bug(const char* name);

}  // namespace test
}  // namespace mnist_train

#endif  // MNIST_TRAIN_TESTS_INJECTED_BUGS_H_
