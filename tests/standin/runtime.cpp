// The functions of CUDA that csrc/ calls, with NVIDIA's declarations.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "memory.h"
#include "settings.h"
#include "stream.h"

using namespace pyiseg::standin;

// Counts the call, and fails where a test asked for it or the device is lost.
#define ENTER(call) \
    if (const cudaError_t failure = enter(call)) return failure
// The same for calls that must not be made while this thread captures.
#define ENTER_UNSAFE(call) \
    ENTER(call);           \
    if (spoils_a_capture()) return refuse(cudaErrorStreamCaptureUnsupported, call)

namespace {

constexpr int kVersion = 13000, kMajor = 9, kMinor = 0;
thread_local int device = 0;
std::atomic<std::uint64_t> release_threshold{0};

using EventHandle = std::shared_ptr<Event>;
EventHandle event_of(cudaEvent_t event) {
    return *reinterpret_cast<EventHandle*>(event);
}
using GraphHandle = std::shared_ptr<Graph>;

}  // namespace

extern "C" {

cudaError_t cudaGetLastError() {
    return last_error(true);
}
cudaError_t cudaPeekAtLastError() {
    return last_error(false);
}
const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "cudaSuccess";
        case cudaErrorInvalidValue:
            return "cudaErrorInvalidValue";
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorInvalidConfiguration:
            return "cudaErrorInvalidConfiguration";
        case cudaErrorInvalidDevice:
            return "cudaErrorInvalidDevice";
        case cudaErrorInvalidResourceHandle:
            return "cudaErrorInvalidResourceHandle";
        case cudaErrorIllegalState:
            return "cudaErrorIllegalState";
        case cudaErrorIllegalAddress:
            return "cudaErrorIllegalAddress";
        case cudaErrorLaunchFailure:
            return "cudaErrorLaunchFailure";
        case cudaErrorStreamCaptureUnsupported:
            return "cudaErrorStreamCaptureUnsupported";
        case cudaErrorStreamCaptureInvalidated:
            return "cudaErrorStreamCaptureInvalidated";
        case cudaErrorStreamCaptureIsolation:
            return "cudaErrorStreamCaptureIsolation";
        default:
            return "an error that the stand-in has no name for";
    }
}
const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorIllegalAddress:
            return "an illegal memory access was encountered";
        case cudaErrorStreamCaptureUnsupported:
            return "operation not permitted when stream is capturing";
        default:
            return cudaGetErrorName(error);
    }
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
    ENTER("cudaGetDevice");
    *index = device;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
    ENTER("cudaSetDevice");
    if (index != 0) return refuse(cudaErrorInvalidDevice, "cudaSetDevice");
    device = index;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
    *version = kVersion;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = kVersion;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    ENTER("cudaDeviceGetAttribute");
    switch (attribute) {
        case cudaDevAttrMemoryPoolsSupported:
            *value = settings().pools;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = kMajor;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = kMinor;
            break;
        default:
            *value = 0;
    }
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    ENTER("cudaGetDeviceProperties");
    *properties = {};
    std::strcpy(properties->name, "host threads (stand-in)");
    properties->major = kMajor;
    properties->minor = kMinor;
    properties->multiProcessorCount = settings().workers;
    properties->totalGlobalMem = capacity();
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    ENTER("cudaMemGetInfo");
    *total = capacity();
    *free = capacity() - used();
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    ENTER("cudaDeviceSynchronize");
    if (spoils_any_capture()) return refuse(cudaErrorStreamCaptureUnsupported, "cudaDeviceSynchronize");
    wait_for_all();
    return device_lost() ? refuse(cudaErrorIllegalAddress, "cudaDeviceSynchronize") : cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
    ENTER("cudaDeviceGetDefaultMemPool");
    *pool = reinterpret_cast<cudaMemPool_t>(&release_threshold);
    return cudaSuccess;
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
    ENTER("cudaMemPoolGetAttribute");
    *static_cast<std::uint64_t*>(value) = release_threshold;
    return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
    ENTER("cudaMemPoolSetAttribute");
    release_threshold = *static_cast<std::uint64_t*>(value);
    return cudaSuccess;
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) {
    ENTER("cudaMemPoolTrimTo");
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
    ENTER_UNSAFE("cudaMalloc");
    return allocate(memory, bytes, nullptr, false);
}
cudaError_t cudaFree(void* memory) {
    if (!memory) return cudaSuccess;
    ENTER_UNSAFE("cudaFree");
    return release(memory, nullptr, false);
}
cudaError_t cudaMallocAsync(void** memory, std::size_t bytes, cudaStream_t handle) {
    ENTER("cudaMallocAsync");
    const auto stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaMallocAsync");
    if (stream->capturing()) {  // CUDA makes a memory node of it; pyiseg must never get here
        stream->spoil_capture();
        return refuse(cudaErrorStreamCaptureUnsupported, "cudaMallocAsync");
    }
    return allocate(memory, bytes, handle, true);
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t handle) {
    ENTER("cudaFreeAsync");
    const auto stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaFreeAsync");
    if (stream->capturing()) {  // of what no graph has allocated
        stream->spoil_capture();
        return refuse(cudaErrorInvalidValue, "cudaFreeAsync");
    }
    return release(memory, handle, true);
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
    ENTER_UNSAFE("cudaMallocHost");
    *memory = allocate_pinned(bytes);
    if (!*memory) return refuse(cudaErrorMemoryAllocation, "the machine has no memory left");
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
    ENTER_UNSAFE("cudaFreeHost");
    release_pinned(memory);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t handle) {
    ENTER("cudaMemcpyAsync");
    const auto stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaMemcpyAsync");
    if (bytes == 0) return cudaSuccess;
    ++counters().copies;
    const bool from_device = on_device(from, bytes);
    const bool pageable = (!on_device(to, bytes) && !is_pinned(to, bytes)) || (!from_device && !is_pinned(from, bytes));
    if (pageable && stream->capturing()) {
        stream->spoil_capture();
        return refuse(cudaErrorStreamCaptureUnsupported, "cudaMemcpyAsync of pageable memory");
    }
    if (pageable && !from_device) {  // read before the call returns
        const auto* start = static_cast<const char*>(from);
        auto held = std::make_shared<std::vector<char>>(start, start + bytes);
        return stream->submit(
            [to, held] {
                const AtWork now;
                std::memcpy(to, held->data(), held->size());
            },
            "cudaMemcpyAsync");
    }
    const cudaError_t status = stream->submit(
        [to, from, bytes] {
            const AtWork now;
            std::memmove(to, from, bytes);
        },
        "cudaMemcpyAsync");
    if (pageable && status == cudaSuccess) stream->wait();  // written when the call returns
    return status;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t handle) {
    ENTER("cudaMemsetAsync");
    if (bytes == 0) return cudaSuccess;
    if (!on_device(memory, bytes)) return refuse(cudaErrorInvalidValue, "cudaMemsetAsync");
    return submit(
        handle,
        [=] {
            const AtWork now;
            std::memset(memory, value, bytes);
        },
        "cudaMemsetAsync");
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
    ENTER("cudaPointerGetAttributes");
    *attributes = {};
    attributes->type = on_device(address, 1)   ? cudaMemoryTypeDevice
                       : is_pinned(address, 1) ? cudaMemoryTypeHost
                                               : cudaMemoryTypeUnregistered;
    attributes->device = attributes->type == cudaMemoryTypeUnregistered ? cudaInvalidDeviceId : 0;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    ENTER("cudaStreamCreateWithFlags");
    *stream = create_stream();
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    // Also after the device was lost, so that its thread ends.
    const cudaError_t failure = enter("cudaStreamDestroy");
    const cudaError_t status = destroy_stream(stream);
    return failure ? failure : status;
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    ENTER("cudaStreamSynchronize");
    const auto stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaStreamSynchronize");
    if (stream->capturing()) stream->spoil_capture();
    if (stream->capturing() || spoils_a_capture()) {
        return refuse(cudaErrorStreamCaptureUnsupported, "cudaStreamSynchronize");
    }
    stream->wait();
    return device_lost() ? refuse(cudaErrorIllegalAddress, "cudaStreamSynchronize") : cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    ENTER("cudaEventCreateWithFlags");
    *event = reinterpret_cast<cudaEvent_t>(new EventHandle(std::make_shared<Event>()));
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const cudaError_t failure = enter("cudaEventDestroy");
    delete reinterpret_cast<EventHandle*>(event);
    return failure;
}
cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
    ENTER("cudaEventRecord");
    const EventHandle event = event_of(handle);
    long number = 0;
    {
        const std::lock_guard<std::mutex> lock(event->mutex);
        number = ++event->recorded;
    }
    return submit(
        stream,
        [event, number] {
            {
                const std::lock_guard<std::mutex> lock(event->mutex);
                event->reached = std::max(event->reached, number);
            }
            event->changed.notify_all();
        },
        "cudaEventRecord");
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
    ENTER("cudaStreamWaitEvent");
    const auto stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaStreamWaitEvent");
    if (stream->capturing()) {  // of an event outside of the capture
        stream->spoil_capture();
        return refuse(cudaErrorStreamCaptureIsolation, "cudaStreamWaitEvent");
    }
    const EventHandle event = event_of(event_handle);
    long number = 0;
    {
        const std::lock_guard<std::mutex> lock(event->mutex);
        number = event->recorded;
    }
    return stream->submit(
        [event, number] {
            std::unique_lock<std::mutex> lock(event->mutex);
            while (event->reached < number && !device_lost()) {  // a lost device does not reach it
                event->changed.wait_for(lock, std::chrono::milliseconds(10));
            }
        },
        "cudaStreamWaitEvent");
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
    ENTER("cudaStreamBeginCapture");
    const auto stream = stream_of(handle);
    return stream ? stream->begin_capture() : refuse(cudaErrorInvalidResourceHandle, "cudaStreamBeginCapture");
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    // Also where the call is to fail, or the device is lost: the stream is not captured any more.
    *graph = nullptr;
    const cudaError_t failure = enter("cudaStreamEndCapture");
    const auto stream = stream_of(handle);
    if (!stream) return refuse(cudaErrorInvalidResourceHandle, "cudaStreamEndCapture");
    GraphHandle captured;
    const cudaError_t status = stream->end_capture(captured);
    if (failure || status) return failure ? failure : status;
    *graph = reinterpret_cast<cudaGraph_t>(new GraphHandle(std::move(captured)));
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    const cudaError_t failure = enter("cudaGraphDestroy");
    delete reinterpret_cast<GraphHandle*>(graph);
    return failure;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    ENTER("cudaGraphInstantiate");
    *exec = reinterpret_cast<cudaGraphExec_t>(new GraphHandle(*reinterpret_cast<GraphHandle*>(graph)));
    return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t stream) {
    ENTER("cudaGraphUpload");
    return stream_of(stream) ? cudaSuccess : refuse(cudaErrorInvalidResourceHandle, "cudaGraphUpload");
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    const cudaError_t failure = enter("cudaGraphExecDestroy");
    auto* graph = reinterpret_cast<GraphHandle*>(exec);
    if ((*graph)->in_flight > 0) ++counters().destroyed_in_flight;
    delete graph;
    return failure;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    ENTER("cudaGraphLaunch");
    ++counters().graph_launches;
    const GraphHandle graph = *reinterpret_cast<GraphHandle*>(exec);
    for (const Work& work : graph->work) {
        if (const cudaError_t status = submit(stream, work, "cudaGraphLaunch")) return status;
    }
    ++graph->in_flight;
    return submit(stream, [graph] { --graph->in_flight; }, "cudaGraphLaunch");
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
    ENTER("cudaLaunchHostFunc");
    return submit(
        stream,
        [function, data] {
            const AtWork now;
            function(data);
        },
        "cudaLaunchHostFunc");
}

}  // extern "C"
