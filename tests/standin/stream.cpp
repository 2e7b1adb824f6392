#include "stream.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "settings.h"

namespace pyiseg::standin {
namespace {

std::mutex all_mutex;
std::map<cudaStream_t, std::shared_ptr<Stream>>& all_streams() {
    static auto& all = *new std::map<cudaStream_t, std::shared_ptr<Stream>>;  // outlives other globals
    return all;
}

cudaStream_t added(const std::shared_ptr<Stream>& stream) {
    const auto handle = reinterpret_cast<cudaStream_t>(stream.get());
    const std::lock_guard<std::mutex> lock(all_mutex);
    all_streams()[handle] = stream;
    return handle;
}

cudaStream_t default_handle() {
    static const cudaStream_t handle = added(std::make_shared<Stream>());
    return handle;
}

bool is_default(cudaStream_t handle) {
    return reinterpret_cast<std::uintptr_t>(handle) <= 2;
}

std::vector<std::shared_ptr<Stream>> copy_of_all() {
    const std::lock_guard<std::mutex> lock(all_mutex);
    std::vector<std::shared_ptr<Stream>> all;
    for (const auto& [handle, stream] : all_streams()) all.push_back(stream);
    return all;
}

}  // namespace

Stream::Stream() : thread_([this] { run(); }) {}

Stream::~Stream() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ended_ = true;
    }
    wake_.notify_all();
    runs_here() ? thread_.detach() : thread_.join();
}

void Stream::run() {
    for (;;) {
        Work work;
        {
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait(lock, [this] { return ended_ || !queue_.empty(); });
            if (queue_.empty()) return;
            work = std::move(queue_.front());
            queue_.pop_front();
            busy_ = true;
        }
        const std::uint64_t longest = settings().delay_us;
        if (longest && random_number() % 4 == 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(random_number() % longest));
        }
        if (!device_lost()) work();
        work = {};  // what it holds goes before anyone who waits goes on
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            busy_ = false;
            if (queue_.empty()) idle_.notify_all();
        }
    }
}

cudaError_t Stream::submit(Work work, const char* what) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (graph_) {
            if (spoilt_) return refuse(cudaErrorStreamCaptureInvalidated, what);
            graph_->work.push_back(std::move(work));
            return cudaSuccess;
        }
        queue_.push_back(std::move(work));
    }
    wake_.notify_all();
    return cudaSuccess;
}

void Stream::wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    idle_.wait(lock, [this] { return queue_.empty() && !busy_; });
}

cudaError_t Stream::begin_capture() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (graph_) return refuse(cudaErrorIllegalState, "the stream is being captured");
    graph_ = std::make_shared<Graph>();
    spoilt_ = false;
    capturer_ = std::this_thread::get_id();
    ++counters().captures;
    return cudaSuccess;
}

cudaError_t Stream::end_capture(std::shared_ptr<Graph>& graph) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!graph_) return refuse(cudaErrorIllegalState, "the stream is not being captured");
    graph = std::exchange(graph_, nullptr);
    if (!spoilt_) return cudaSuccess;
    graph = nullptr;
    return refuse(cudaErrorStreamCaptureInvalidated, "the capture was spoilt");
}

bool Stream::capturing() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return graph_ != nullptr;
}

bool Stream::captured_by_this_thread() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return graph_ && capturer_ == std::this_thread::get_id();
}

void Stream::spoil_capture() {
    const std::lock_guard<std::mutex> lock(mutex_);
    spoilt_ = true;
}

std::shared_ptr<Stream> stream_of(cudaStream_t handle) {
    if (is_default(handle)) handle = default_handle();
    const std::lock_guard<std::mutex> lock(all_mutex);
    const auto found = all_streams().find(handle);
    return found == all_streams().end() ? nullptr : found->second;
}

cudaStream_t create_stream() {
    return added(std::make_shared<Stream>());
}

cudaError_t destroy_stream(cudaStream_t handle) {
    std::shared_ptr<Stream> stream = is_default(handle) ? nullptr : stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaStreamDestroy");
    {
        const std::lock_guard<std::mutex> lock(all_mutex);
        all_streams().erase(handle);
    }
    // CUDA returns at once, and what is enqueued is done all the same.
    std::thread([held = std::move(stream)]() mutable { held.reset(); }).detach();
    return cudaSuccess;
}

cudaError_t submit(cudaStream_t handle, Work work, const char* what) {
    const std::shared_ptr<Stream> stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, what);
    return stream->submit(std::move(work), what);
}

void wait_for_all() {
    for (const auto& stream : copy_of_all()) {
        if (!stream->runs_here()) stream->wait();
    }
}

bool spoils_a_capture() {
    bool any = false;
    for (const auto& stream : copy_of_all()) {
        if (!stream->captured_by_this_thread()) continue;
        stream->spoil_capture();
        any = true;
    }
    return any;
}

bool spoils_any_capture() {
    bool any = false;
    for (const auto& stream : copy_of_all()) {
        if (!stream->capturing()) continue;
        stream->spoil_capture();
        any = true;
    }
    return any;
}

}  // namespace pyiseg::standin
