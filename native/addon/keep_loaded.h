// Keeps the addon's library in the process.
#ifndef MNIST_TRAIN_ADDON_KEEP_LOADED_H_
#define MNIST_TRAIN_ADDON_KEEP_LOADED_H_

namespace mnist_train {

// Node.js unloads an addon when the last environment with it ends. What belongs to the process, the thread budget,
// would be gone then, and be made anew for the next worker.
void keep_loaded();

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ADDON_KEEP_LOADED_H_
