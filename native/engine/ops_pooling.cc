// Pooling of images.
#include "windows.h"

namespace mnist_train {
namespace {

// Whether buffers hold what the windows look at, and a value for each of them.
bool are_inputs(const Buffer& b, const Windows& w) {
  return is_image_batch(b, w.input_height, w.input_width, w.channels);
}
bool are_outputs(const Buffer& b, const Windows& w) {
  return is_image_batch(b, w.output_height, w.output_width, w.channels);
}

bool are_winners(const Buffer& b, const Windows& w) {
  return b.type == ElementType::kInt32 && b.batched && b.columns == w.output_height * w.output_width * w.channels;
}

// maxPool2d: input -> output, winners?; windows

const char* check_max_pool2d(const Program& program, const Op& op) {
  Windows w;
  if (const char* wrong = check_windows(op, 0, &w)) return wrong;
  if (!are_inputs(buffer_of(program, op, 0), w)) return "shape of the input";
  if (!are_outputs(buffer_of(program, op, 1), w)) return "shape of the output";
  if (!absent(op, 2) && !are_winners(buffer_of(program, op, 2), w)) return "shape of the winners";
  return nullptr;
}

void run_max_pool2d(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->max_pool2d({c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]),
                         c.pointer<int32_t>(op.buffers[2]), windows_of(op, 0), c.rows},
                        slice);
}

// maxPool2dBackward: dOutput, winners -> dInput; windows

const char* check_max_pool2d_backward(const Program& program, const Op& op) {
  Windows w;
  if (const char* wrong = check_windows(op, 0, &w)) return wrong;
  if (!are_outputs(buffer_of(program, op, 0), w)) return "shape of dOutput";
  if (!are_winners(buffer_of(program, op, 1), w)) return "shape of the winners";
  return are_inputs(buffer_of(program, op, 2), w) ? nullptr : "shape of dInput";
}

void run_max_pool2d_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->max_pool2d_backward({c.pointer<float>(op.buffers[0]), c.pointer<int32_t>(op.buffers[1]),
                                  c.pointer<float>(op.buffers[2]), windows_of(op, 0), c.rows},
                                 slice);
}

// averagePool2d: input -> output; windows

const char* check_average_pool2d(const Program& program, const Op& op) {
  Windows w;
  if (const char* wrong = check_windows(op, 0, &w)) return wrong;
  if (!are_inputs(buffer_of(program, op, 0), w)) return "shape of the input";
  return are_outputs(buffer_of(program, op, 1), w) ? nullptr : "shape of the output";
}

void run_average_pool2d(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->average_pool2d(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), windows_of(op, 0), c.rows}, slice);
}

// averagePool2dBackward: dOutput -> dInput; windows

const char* check_average_pool2d_backward(const Program& program, const Op& op) {
  Windows w;
  if (const char* wrong = check_windows(op, 0, &w)) return wrong;
  if (!are_outputs(buffer_of(program, op, 0), w)) return "shape of dOutput";
  return are_inputs(buffer_of(program, op, 1), w) ? nullptr : "shape of dInput";
}

void run_average_pool2d_backward(const StepContext& c, const Op& op, Slice slice) {
  c.kernels->average_pool2d_backward(
      {c.pointer<float>(op.buffers[0]), c.pointer<float>(op.buffers[1]), windows_of(op, 0), c.rows}, slice);
}

const OpKind kKinds[] = {
    {"maxPool2d", "rwWvvvvvvvvvvv", check_max_pool2d, run_max_pool2d, nullptr, false, -1, accesses_by_parts, true},
    {"maxPool2dBackward", "rrwvvvvvvvvvvv", check_max_pool2d_backward, run_max_pool2d_backward, nullptr, false, -1,
     accesses_by_parts, true},
    {"averagePool2d", "rwvvvvvvvvvvv", check_average_pool2d, run_average_pool2d, nullptr, false, -1, accesses_by_parts,
     true},
    {"averagePool2dBackward", "rwvvvvvvvvvvv", check_average_pool2d_backward, run_average_pool2d_backward, nullptr,
     false, -1, accesses_by_parts, true},
};

}  // namespace

const OpGroup kPoolingOps = {kKinds, sizeof(kKinds) / sizeof(kKinds[0])};

}  // namespace mnist_train
