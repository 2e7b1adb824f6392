// A CUDA stream, its memory and its graphs, freed by whoever held them last.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>

#include "../ops/ops.h"
#include "array.h"
#include "cuda_check.h"

namespace pyiseg {

// Makes a device the current one of this thread for as long as it lives. Other libraries may have chosen another.
class CudaGuard {
  public:
    explicit CudaGuard(int device) {
        PYISEG_CUDA_CHECK(cudaGetDevice(&before_));
        if (before_ == device) return;
        PYISEG_CUDA_CHECK(cudaSetDevice(device));
        changed_ = true;
    }
    ~CudaGuard() {
        if (changed_) cuda_forget(cudaSetDevice(before_));
    }
    CudaGuard(const CudaGuard&) = delete;
    CudaGuard& operator=(const CudaGuard&) = delete;

  private:
    int before_ = 0;
    bool changed_ = false;
};

class CudaStream : public std::enable_shared_from_this<CudaStream> {
  public:
    static constexpr Space kSpace = Space::cuda;
    using Device = Cuda;
    using Guard = CudaGuard;

    struct Graph {
        cudaGraphExec_t exec = nullptr;
        Graph() = default;
        ~Graph() {
            if (exec) cuda_forget(cudaGraphExecDestroy(exec));
        }
        Graph(const Graph&) = delete;
        Graph& operator=(const Graph&) = delete;
    };

    // On the device that is current now. Non-blocking: the default stream, which other libraries use, orders nothing.
    CudaStream() {
        PYISEG_CUDA_CHECK(cudaGetDevice(&index_));
        int pools = 0;
        PYISEG_CUDA_CHECK(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, index_));
        if (pools) {
            // Freed memory stays with the pool up to this much, so that the next session does not wait for the driver.
            // Others use the same pool: what they want kept stays so.
            std::uint64_t keep = std::uint64_t{256} << 20, kept = 0;
            cudaMemPool_t pool = nullptr;
            PYISEG_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, index_));
            PYISEG_CUDA_CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept));
            if (kept < keep) PYISEG_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
        }
        pooled_ = pools != 0;
        PYISEG_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    }
    ~CudaStream() { cuda_forget(cudaStreamDestroy(stream_)); }
    CudaStream(const CudaStream&) = delete;
    CudaStream& operator=(const CudaStream&) = delete;

    std::uintptr_t handle() const { return reinterpret_cast<std::uintptr_t>(stream_); }
    Device device() const { return Cuda{stream_}; }
    Guard guard() const { return Guard(index_); }
    int index() const { return index_; }

    // Ordered with the stream's work: it may be used at once, and dropped while work on it is still enqueued.
    std::shared_ptr<void> allocate(std::size_t bytes) {
        // CUDA would make it a part of the graph, which could be launched but once then.
        if (capturing_) throw DeviceRuntimeError("allocating is not permitted while a stream is being captured");
        void* data = nullptr;
        if (bytes == 0) bytes = 1;
        if (!pooled_) {
            PYISEG_CUDA_CHECK(cudaMalloc(&data, bytes));
            return {data, [self = shared_from_this()](void* p) { cuda_forget(cudaFree(p)); }};
        }
        PYISEG_CUDA_CHECK(cudaMallocAsync(&data, bytes, stream_));
        return {data, [self = shared_from_this()](void* p) { cuda_forget(cudaFreeAsync(p, self->stream_)); }};
    }
    static std::shared_ptr<void> allocate_pinned(std::size_t bytes) {
        void* data = nullptr;
        PYISEG_CUDA_CHECK(cudaMallocHost(&data, bytes));
        return {data, [](void* p) { cuda_forget(cudaFreeHost(p)); }};
    }

    // Both ends on the device, or one in pinned memory.
    void copy(void* to, const void* from, std::size_t bytes) {
        PYISEG_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_));
    }
    void fill_zero(void* to, std::size_t bytes) { PYISEG_CUDA_CHECK(cudaMemsetAsync(to, 0, bytes, stream_)); }

    // Both are done when they return.
    void upload(void* to, const void* from, std::size_t bytes) {
        PYISEG_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_));
        synchronize();
    }
    void download(void* to, const void* from, std::size_t bytes) {
        PYISEG_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_));
        synchronize();
    }
    void synchronize() { PYISEG_CUDA_CHECK(cudaStreamSynchronize(stream_)); }

    // What is enqueued here from now on waits for what another stream holds now.
    void wait_for(std::uintptr_t other) {
        cudaEvent_t event = nullptr;
        PYISEG_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
        const std::shared_ptr<void> freed(event,
                                          [](void* p) { cuda_forget(cudaEventDestroy(static_cast<cudaEvent_t>(p))); });
        PYISEG_CUDA_CHECK(cudaEventRecord(event, reinterpret_cast<cudaStream_t>(other)));
        PYISEG_CUDA_CHECK(cudaStreamWaitEvent(stream_, event, 0));
    }

    // Why kernels here must not touch what lies at an address: that would cost the whole process its GPU. Empty if they
    // may.
    std::string what_is_wrong_with(const void* address) const {
        cudaPointerAttributes attributes;
        PYISEG_CUDA_CHECK(cudaPointerGetAttributes(&attributes, address));
        if (attributes.type == cudaMemoryTypeManaged) return {};
        if (attributes.type != cudaMemoryTypeDevice) return "it does not lie in the memory of a GPU";
        if (attributes.device == index_) return {};
        return "it lies on GPU " + std::to_string(attributes.device) + " but the session is on GPU " +
               std::to_string(index_) + ", which was current when it was made";
    }

    void begin_capture() {
        // Thread-local: other threads' sessions go on allocating meanwhile. One that waits for the whole device can
        // still spoil it; whoever captures tries again.
        PYISEG_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
        capturing_ = true;
    }
    std::unique_ptr<Graph> end_capture() {
        capturing_ = false;
        cudaGraph_t captured = nullptr;
        PYISEG_CUDA_CHECK(cudaStreamEndCapture(stream_, &captured));
        const std::shared_ptr<void> freed(captured,
                                          [](void* p) { cuda_forget(cudaGraphDestroy(static_cast<cudaGraph_t>(p))); });
        auto graph = std::make_unique<Graph>();
        PYISEG_CUDA_CHECK(cudaGraphInstantiate(&graph->exec, captured, 0));
        PYISEG_CUDA_CHECK(cudaGraphUpload(graph->exec, stream_));
        return graph;
    }
    void abandon_capture() noexcept {
        capturing_ = false;
        cudaGraph_t captured = nullptr;
        cudaStreamEndCapture(stream_, &captured);
        if (captured) cudaGraphDestroy(captured);
        cudaGetLastError();  // whatever spoilt the capture is already being reported
    }
    void launch(const Graph& graph) { PYISEG_CUDA_CHECK(cudaGraphLaunch(graph.exec, stream_)); }

  private:
    int index_ = 0;
    bool pooled_ = false, capturing_ = false;
    cudaStream_t stream_ = nullptr;
};

}  // namespace pyiseg
