#include "session_object.h"

#include <string.h>

#include <new>
#include <utility>

#include "../engine/thread_budget.h"
#include "../targets/dispatch.h"
#include "arguments.h"
#include "data_object.h"

namespace mnist_train {

// An asynchronous call: run on the queue's thread, settled on JavaScript's.
struct SessionObject::Pending : Job {
  explicit Pending(Engine* engine) : engine(engine) {}
  virtual Napi::Value result(Napi::Env env) = 0;
  virtual void settled(SessionObject*) {}

  Engine* const engine;
  // Made by post(), where a failure can be answered. Napi::Promise::Deferred would hold garbage after one, and hand it
  // to JavaScript as the promise.
  napi_deferred deferred = nullptr;
};

struct SessionObject::Advance : Pending {
  Advance(Engine* engine, Run* run, double milliseconds) : Pending(engine), run_(run), milliseconds_(milliseconds) {}
  void run() override { engine->advance(run_, milliseconds_); }
  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(run_->next_step)); }
  void settled(SessionObject* session) override { session->advancing_ = false; }

  Run* const run_;
  const double milliseconds_;
};

struct SessionObject::Inference : Pending {
  explicit Inference(Engine* engine) : Pending(engine) {}
  void run() override {
    engine->prediction_begins();
    const uint8_t* bytes = is_bytes ? reinterpret_cast<const uint8_t*>(inputs->data()) : nullptr;
    const float* floats = is_bytes ? nullptr : reinterpret_cast<const float*>(inputs->data());
    engine->infer_on_team(bytes, floats, rows, reinterpret_cast<float*>(outputs.data()));
  }
  void settled(SessionObject* session) override { session->spare_inputs_ = std::move(inputs); }
  Napi::Value result(Napi::Env env) override {
    // A copy: external array buffers are forbidden in some embedders.
    const size_t length = outputs.size() / sizeof(float);
    Napi::Float32Array array = Napi::Float32Array::New(env, length);
    if (env.IsExceptionPending() || array.IsEmpty() || !array.Data()) return env.Undefined();
    memcpy(array.Data(), outputs.data(), outputs.size());
    return array;
  }

  bool is_bytes = false;
  size_t rows = 0;
  std::unique_ptr<AlignedMemory> inputs;
  AlignedMemory outputs;
};

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(env, "Session",
                     {
                         InstanceMethod<&SessionObject::read>("read"),
                         InstanceMethod<&SessionObject::read_published>("readPublished"),
                         InstanceMethod<&SessionObject::parameters_are_finite>("parametersAreFinite"),
                         InstanceMethod<&SessionObject::write>("write"),
                         InstanceMethod<&SessionObject::publish>("publish"),
                         InstanceMethod<&SessionObject::begin>("begin"),
                         InstanceMethod<&SessionObject::advance>("advance"),
                         InstanceMethod<&SessionObject::metrics>("metrics"),
                         InstanceMethod<&SessionObject::finish>("finish"),
                         InstanceMethod<&SessionObject::cancel>("cancel"),
                         InstanceMethod<&SessionObject::infer>("infer"),
                         InstanceMethod<&SessionObject::infer_sync>("inferSync"),
                         InstanceMethod<&SessionObject::dispose>("dispose"),
                     });
}

// new Session(words: Float64Array, isa: string, threads: number)
SessionObject::SessionObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionObject>(info) {
  const Napi::Env env = info.Env();
  if (!is_wrapped(env, this)) return;
  View<double> words;
  size_t threads = 0;
  if (!view_of(info[0], &words) || !info[1].IsString() ||
      !whole_number(info[2], 1, static_cast<double>(kMostThreads), &threads)) {
    throw_type_error(env,
                     "Expected a program (Float64Array), an instruction set and a number of threads from 1 to 256.");
    return;
  }
  const KernelTable* kernels = choose_target(info[1].As<Napi::String>().Utf8Value().c_str());
  if (kernels == nullptr) {
    throw_range_error(env, "This processor or this build does not have that instruction set.");
    return;
  }
  Program program;
  std::string error;
  if (!parse_program(words.data, words.length, &program, &error)) {
    throw_range_error(env, "The program is not sound: " + error + ".");
    return;
  }
  std::unique_ptr<Engine> engine(new (std::nothrow) Engine());
  if (!engine || !engine->open(std::move(program), kernels, threads)) {
    throw_error(env, "There is not enough memory for the model.");
    return;
  }
  engine_ = std::move(engine);
  accounted_bytes_ = static_cast<int64_t>(engine_->memory_bytes());
  Napi::MemoryManagement::AdjustExternalMemory(env, accounted_bytes_);
}

SessionObject::~SessionObject() {
  shut_down();
  release_engine();
}

// One function with one address: a hook is removed by its function and argument.
void SessionObject::shut_down_hook(void* self) { static_cast<SessionObject*>(self)->shut_down(); }

// Ends the threads, whatever they are doing, after the step in flight. Calls no JavaScript: also runs when the
// environment is being torn down, before the finalizers do.
void SessionObject::shut_down() {
  if (hooked_) napi_remove_env_cleanup_hook(hook_env_, shut_down_hook, this);
  hooked_ = false;
  cancel_run();
  if (queue_) {
    queue_->stop();
    queue_.reset();
    // Not Release(): that still delivers what the queue's thread reported, to a session that may be collected by then.
    completion_.Abort();
  }
}

void SessionObject::cancel_run() {
  if (!run_) return;
  run_->cancelled.store(true);
  ThreadBudget::of_process().look_again();
}

void SessionObject::release_engine() {
  pending_.clear();
  spare_inputs_.reset();
  run_.reset();
  engine_.reset();
  if (accounted_bytes_ > 0) Napi::MemoryManagement::AdjustExternalMemory(Env(), -accounted_bytes_);
  accounted_bytes_ = 0;
}

bool SessionObject::usable(Napi::Env env) const {
  if (engine_) return true;
  throw_error(env, "The session is disposed.");
  return false;
}

const Buffer* SessionObject::buffer_of(const Napi::Value& index) const {
  const std::vector<Buffer>& buffers = engine_->program().buffers;
  size_t i = 0;
  if (buffers.empty() || !whole_number(index, 0, static_cast<double>(buffers.size() - 1), &i)) return nullptr;
  return engine_->accessible(buffers[i]) ? &buffers[i] : nullptr;
}

// The rows from `first` on that an array of so many values covers. Throws and returns false for others.
bool SessionObject::rows_of(const Napi::Value& first, const Buffer& buffer, size_t values, RowRange* rows) {
  rows->count = buffer.columns == 0 ? 0 : values / buffer.columns;
  if (whole_number(first, 0, static_cast<double>(buffer.rows), &rows->first) &&
      values == rows->count * buffer.columns && rows->count <= buffer.rows - rows->first) {
    return true;
  }
  throw_range_error(first.Env(), "Expected whole rows of the buffer.");
  return false;
}

// read(buffer: number, firstRow: number, values: Float32Array): void
Napi::Value SessionObject::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (advancing_) return throw_error(env, "A run is being advanced.");
  const Buffer* buffer = buffer_of(info[0]);
  View<float> values;
  RowRange rows;
  if (!buffer) return throw_range_error(env, "Expected a buffer that can be read.");
  if (!view_of(info[2], &values)) return throw_type_error(env, "Expected a Float32Array.");
  if (rows_of(info[1], *buffer, values.length, &rows)) engine_->read(*buffer, rows, values.data);
  return env.Undefined();
}

// readPublished(buffers: Uint32Array, values: Float32Array): void; parameters as published last, one behind the other
Napi::Value SessionObject::read_published(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  View<uint32_t> indices;
  View<float> values;
  if (!view_of(info[0], &indices)) return throw_type_error(env, "Expected a Uint32Array.");
  if (!view_of(info[1], &values)) return throw_type_error(env, "Expected a Float32Array.");
  const std::vector<Buffer>& all = engine_->program().buffers;
  std::vector<const Buffer*> buffers;
  size_t length = 0;
  for (size_t i = 0; i < indices.length; i++) {
    if (indices.data[i] >= all.size() || all[indices.data[i]].region != kParameters) {
      return throw_range_error(env, "Expected parameters.");
    }
    buffers.push_back(&all[indices.data[i]]);
    length += buffers.back()->elements();
  }
  if (values.length != length) return throw_range_error(env, "Expected as many values as the parameters have.");
  engine_->read_published(buffers, values.data);
  return env.Undefined();
}

// parametersAreFinite(): boolean
Napi::Value SessionObject::parameters_are_finite(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (advancing_) return throw_error(env, "A run is being advanced.");
  return Napi::Boolean::New(env, engine_->parameters_are_finite());
}

// write(buffer: number, firstRow: number, values: Float32Array): void
Napi::Value SessionObject::write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (advancing_) return throw_error(env, "A run is being advanced.");
  const Buffer* buffer = buffer_of(info[0]);
  View<float> values;
  RowRange rows;
  if (!buffer) return throw_range_error(env, "Expected a buffer that can be written.");
  if (!view_of(info[2], &values)) return throw_type_error(env, "Expected a Float32Array.");
  if (rows_of(info[1], *buffer, values.length, &rows)) engine_->write(*buffer, rows, values.data);
  return env.Undefined();
}

// publish(bytes: number): whether all of the parameters are now those that evaluation and inference read
Napi::Value SessionObject::publish(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (advancing_) return throw_error(env, "A run is being advanced.");
  size_t bytes = 0;
  if (!whole_number(info[0], 1, 9007199254740991.0, &bytes)) {
    return throw_type_error(env, "Expected a number of bytes of at least 1.");
  }
  bool published = false;
  if (!engine_->publish_part(bytes, &published)) {
    return throw_error(env, "There is not enough memory to publish the weights.");
  }
  return Napi::Boolean::New(env, published);
}

// begin(section: 0 | 1, data: Data | null, order: Uint32Array, batchSize: number, scalars: Float32Array,
// firstIndex: number, undo: boolean): number of steps
Napi::Value SessionObject::begin(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (run_) return throw_error(env, "A run is in flight.");
  size_t section = 0, first_index = 0;
  View<uint32_t> order;
  View<float> scalars;
  std::unique_ptr<Run> run(new (std::nothrow) Run());
  if (!run) return throw_error(env, "There is not enough memory for the run.");
  if (!whole_number(info[0], kTrainSection, kEvaluateSection, &section) || !view_of(info[2], &order) ||
      !whole_number(info[3], 1, 1 << 30, &run->batch_size) || !view_of(info[4], &scalars) ||
      !whole_number(info[5], 0, 4294967295.0, &first_index) || !info[6].IsBoolean()) {
    return throw_type_error(
        env, "Expected a section, data, an order, a batch size, scalars, a first index and whether to undo.");
  }
  if (!info[1].IsNull()) {
    const DataObject* data = DataObject::from(info[1]);
    if (!data || !data->data()) return throw_type_error(env, "Expected data that are not disposed.");
    run->data = data->data();
  }
  run->section = static_cast<SectionId>(section);
  run->first_index = static_cast<uint32_t>(first_index);
  run->undo = info[6].As<Napi::Boolean>();
  run->order.assign(order.data, order.data + order.length);
  run->scalars.assign(scalars.data, scalars.data + scalars.length);
  run->steps = (order.length + run->batch_size - 1) / run->batch_size;
  run->metrics.reserve(2 * run->steps);
  if (const char* wrong = engine_->check(*run)) return throw_range_error(env, wrong);
  const double steps = static_cast<double>(run->steps);
  run_ = std::move(run);
  return Napi::Number::New(env, steps);
}

// advance(milliseconds: number): Promise of the number of steps done so far
Napi::Value SessionObject::advance(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (!run_ || advancing_) return throw_error(env, "There is no run to advance, or it is being advanced.");
  if (!info[0].IsNumber()) return throw_type_error(env, "Expected a number of milliseconds.");
  const double milliseconds = info[0].As<Napi::Number>().DoubleValue();
  if (!(milliseconds >= 0 && milliseconds <= 1e6))
    return throw_range_error(env, "Expected 0 to 1,000,000 milliseconds.");
  std::unique_ptr<Pending> pending(new (std::nothrow) Advance(engine_.get(), run_.get(), milliseconds));
  const Napi::Value promise = post(env, std::move(pending));
  advancing_ = promise.IsPromise();
  return promise;
}

// metrics(): Float64Array of the steps done so far
Napi::Value SessionObject::metrics(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (!run_ || advancing_) return throw_error(env, "There is no run, or it is being advanced.");
  Napi::Float64Array metrics = Napi::Float64Array::New(env, run_->metrics.size());
  if (env.IsExceptionPending() || metrics.IsEmpty()) return env.Undefined();
  if (!run_->metrics.empty() && metrics.Data())
    memcpy(metrics.Data(), run_->metrics.data(), run_->metrics.size() * sizeof(double));
  return metrics;
}

// finish(): void; ends the run
Napi::Value SessionObject::finish(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  if (advancing_) return throw_error(env, "The run is being advanced.");
  run_.reset();
  return env.Undefined();
}

// cancel(): the run stops, after the step in flight or in the middle of a long one
Napi::Value SessionObject::cancel(const Napi::CallbackInfo& info) {
  cancel_run();
  return info.Env().Undefined();
}

namespace {

struct Samples {
  View<uint8_t> bytes;
  View<float> floats;
  bool is_bytes = false;
  size_t rows = 0;
};

// The samples of infer() and inferSync(), a whole number of rows of the input's size, and the size of an answer. Throws
// and returns false for anything else.
bool samples_of(const Napi::Value& value, const Program& program, Samples* samples, size_t* output_columns) {
  const Section& section = program.sections[kInferSection];
  if (!section.present) {
    throw_error(value.Env(), "The program has no infer section.");
    return false;
  }
  const size_t columns = program.buffers[static_cast<size_t>(section.input)].columns;
  *output_columns = program.buffers[static_cast<size_t>(section.output)].columns;
  samples->is_bytes = view_of(value, &samples->bytes);
  if (!samples->is_bytes && !view_of(value, &samples->floats)) {
    throw_type_error(value.Env(), "Expected a Uint8Array or a Float32Array.");
    return false;
  }
  const size_t length = samples->is_bytes ? samples->bytes.length : samples->floats.length;
  samples->rows = length / columns;
  if (samples->rows > 0 && length % columns == 0) return true;
  throw_range_error(value.Env(), "Expected samples of the input's size.");
  return false;
}

}  // namespace

// infer(inputs: Uint8Array | Float32Array): Promise of a Float32Array
Napi::Value SessionObject::infer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  Samples samples;
  size_t output_columns = 0;
  if (!samples_of(info[0], engine_->program(), &samples, &output_columns)) return env.Undefined();
  std::unique_ptr<Inference> inference(new (std::nothrow) Inference(engine_.get()));
  const size_t bytes = samples.is_bytes ? samples.bytes.length : samples.floats.length * sizeof(float);
  // Fresh memory would cost a page fault every 4 KB, more than the copy itself: one block is kept for the next call.
  std::unique_ptr<AlignedMemory> inputs = std::move(spare_inputs_);
  if (!inputs || inputs->size() < bytes) {
    inputs.reset(new (std::nothrow) AlignedMemory());
    if (inputs && !inputs->allocate(bytes)) inputs.reset();
  }
  if (!inference || !inputs || samples.rows > static_cast<size_t>(-1) / sizeof(float) / output_columns ||
      !inference->outputs.allocate(samples.rows * output_columns * sizeof(float))) {
    return throw_error(env, "There is not enough memory for the prediction.");
  }
  const void* source = samples.is_bytes ? static_cast<const void*>(samples.bytes.data) : samples.floats.data;
  memcpy(inputs->data(), source, bytes);
  inference->inputs = std::move(inputs);
  inference->is_bytes = samples.is_bytes;
  inference->rows = samples.rows;
  Engine* const engine = engine_.get();
  engine->expect_prediction();
  const Napi::Value promise = post(env, std::move(inference));
  if (!promise.IsPromise()) engine->prediction_begins();  // and ends: it was not posted
  return promise;
}

// inferSync(inputs: Uint8Array | Float32Array, outputs: Float32Array): void, on this thread, without allocating
Napi::Value SessionObject::infer_sync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!usable(env)) return env.Undefined();
  Samples samples;
  size_t output_columns = 0;
  View<float> outputs;
  if (!samples_of(info[0], engine_->program(), &samples, &output_columns)) return env.Undefined();
  if (!view_of(info[1], &outputs) || outputs.length / output_columns != samples.rows ||
      outputs.length % output_columns != 0) {
    return throw_range_error(env, "Expected a Float32Array of the answers' size.");
  }
  engine_->infer_alone(samples.bytes.data, samples.floats.data, samples.rows, outputs.data);
  return env.Undefined();
}

// The queue and the function that brings its reports to JavaScript's thread. False when they cannot be made.
bool SessionObject::open_queue(Napi::Env env) {
  if (queue_) return true;
  completion_ = Completion::New(env, "mnist-train", 0, 1, this);
  // Calling a function that was not made aborts the process, and a failure need not have left an exception.
  if (static_cast<napi_threadsafe_function>(completion_) == nullptr) return false;
  completion_.Unref(env);
  // Registered after the thread-safe function's own hook, so it runs before it: the queue's thread has ended when the
  // function is closed. Without the hook nothing would see to that.
  hook_env_ = env;
  hooked_ = napi_add_env_cleanup_hook(env, shut_down_hook, this) == napi_ok;
  if (hooked_) {
    queue_.reset(new (std::nothrow) JobQueue(
        [](Job* job, void* self) {
          static_cast<SessionObject*>(self)->completion_.NonBlockingCall(static_cast<Pending*>(job));
        },
        this));
  }
  if (queue_) return true;
  if (hooked_) napi_remove_env_cleanup_hook(hook_env_, shut_down_hook, this);
  hooked_ = false;
  completion_.Abort();
  return false;
}

Napi::Value SessionObject::post(Napi::Env env, std::unique_ptr<Pending> pending) {
  if (!pending || !open_queue(env)) {
    if (env.IsExceptionPending()) return env.Undefined();
    return throw_error(env, "There is not enough memory for the call.");
  }
  if (!queue_->start())
    return throw_error(env, "No thread could be started: the system's limit of threads or of memory is reached.");
  // In a worker that is being terminated no promise is made, and no exception is pending either.
  napi_value promise = nullptr;
  if (napi_create_promise(env, &pending->deferred, &promise) != napi_ok) return env.Undefined();
  if (pending_.empty()) {
    // Work in flight keeps the process and this object alive.
    completion_.Ref(env);
    Ref();
  }
  Pending* const job = pending.get();
  pending_.push_back(std::move(pending));
  queue_->post(job);
  return Napi::Value(env, promise);
}

void SessionObject::call_js(Napi::Env env, Napi::Function, SessionObject* session, Pending* pending) {
  // Without an environment it is too late for promises; the object itself frees what is pending.
  if (env != nullptr) session->settle(env, pending);
}

void SessionObject::settle(Napi::Env env, Pending* pending) {
  for (size_t i = 0; i < pending_.size(); i++) {
    if (pending_[i].get() != pending) continue;  // rejected by dispose() in the meantime: not in the list
    const std::unique_ptr<Pending> owned = std::move(pending_[i]);
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    owned->settled(this);
    const Napi::Value value = owned->result(env);
    // Before the promise is settled: that can run JavaScript (a getter of `then`), which may dispose of this object or
    // give it more work.
    if (pending_.empty()) {
      completion_.Unref(env);
      Unref();
    }
    // Both fail without consequence in a worker that is being terminated.
    if (env.IsExceptionPending()) {
      napi_reject_deferred(env, owned->deferred, env.GetAndClearPendingException().Value());
    } else {
      napi_resolve_deferred(env, owned->deferred, value);
    }
    return;
  }
}

// dispose(): frees memory and threads; what is pending is rejected
Napi::Value SessionObject::dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  shut_down();
  if (!pending_.empty()) {
    for (const std::unique_ptr<Pending>& pending : pending_) {
      napi_reject_deferred(env, pending->deferred, Napi::Error::New(env, "The session was disposed.").Value());
    }
    Unref();
  }
  advancing_ = false;
  release_engine();
  return env.Undefined();
}

}  // namespace mnist_train
