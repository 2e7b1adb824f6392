// Streams: a queue and an OS thread each. Events, captures and graphs.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace pyiseg::standin {

using Work = std::function<void()>;

struct Graph {
    std::vector<Work> work;
    std::atomic<long> in_flight{0};  // launches that have not ended
};

struct Event {
    std::mutex mutex;
    std::condition_variable changed;
    long recorded = 0, reached = 0;
};

class Stream {
  public:
    Stream();
    ~Stream();  // waits for what is enqueued
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Enqueues work, or keeps it while the stream is captured.
    cudaError_t submit(Work work, const char* what);
    void wait();

    cudaError_t begin_capture();
    cudaError_t end_capture(std::shared_ptr<Graph>& graph);
    bool capturing();
    bool captured_by_this_thread();
    void spoil_capture();  // as when something was called that must not be, while it is captured
    bool runs_here() const { return thread_.get_id() == std::this_thread::get_id(); }

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable wake_, idle_;
    std::deque<Work> queue_;
    bool busy_ = false, ended_ = false, spoilt_ = false;
    std::thread::id capturer_;
    std::shared_ptr<Graph> graph_;  // what is being captured
    std::thread thread_;
};

// By handle; 0, 1 and 2 are the default streams. Empty for what is no stream.
std::shared_ptr<Stream> stream_of(cudaStream_t handle);
cudaStream_t create_stream();
cudaError_t destroy_stream(cudaStream_t handle);
cudaError_t submit(cudaStream_t handle, Work work, const char* what);
void wait_for_all();

// Whether this thread captures a stream, whose capture is spoilt by that: for calls that CUDA calls unsafe.
bool spoils_a_capture();
// The same for calls that concern the whole device, whichever thread captures.
bool spoils_any_capture();

}  // namespace pyiseg::standin
