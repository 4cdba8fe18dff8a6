// Commits one bug on purpose: injected_bug NAME.
#include <stdio.h>

#include "injected_bugs.h"

int main(int count, char** arguments) {
  if (count == 2 && mnist_train::test::inject_bug(arguments[1])) return 0;
  fprintf(stderr, "Expected the name of a bug in tests/injected_bugs.cc.\n");
  return 2;
}
