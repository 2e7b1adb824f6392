// A stream whose device is the host. It shows the face of CudaStream and keeps its rules, so that whatever runs on a
// GPU can be tried without one: work runs at once, or is kept while the stream is captured; waiting, copying from or to
// numpy and allocating are refused then, as CUDA refuses what would have to wait.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "../ops/ops.h"
#include "array.h"
#include "device_error.h"
#include "tape.h"

namespace pyiseg {

class HostStream : public std::enable_shared_from_this<HostStream> {
  public:
    static constexpr Space kSpace = Space::host;
    using Device = Cpu;
    struct Graph {
        HostTape tape;
    };
    struct Guard {
        ~Guard() {}  // says to compilers that holding one is use enough
    };

    // limit: bytes that all host streams together may hold when one more array is asked of this one.
    explicit HostStream(std::size_t limit) : limit_(limit) {}

    std::uintptr_t handle() const { return reinterpret_cast<std::uintptr_t>(this); }
    Device device() { return Cpu{capturing_ ? &tape_ : nullptr}; }
    Guard guard() const { return {}; }
    int index() const { return 0; }

    std::shared_ptr<void> allocate(std::size_t bytes) {
        refuse_while_capturing("allocating");
        if (allocated() + bytes > limit_) {
            throw DeviceMemoryError("the host stream may hold " + std::to_string(limit_) + " bytes, of which " +
                                    std::to_string(allocated()) + " are in use, and " + std::to_string(bytes) +
                                    " more were asked for");
        }
        allocated() += bytes;
        return {std::malloc(std::max<std::size_t>(bytes, 1)), [bytes](void* p) {
                    std::free(p);
                    allocated() -= bytes;
                }};
    }
    static std::shared_ptr<void> allocate_pinned(std::size_t bytes) { return {std::malloc(bytes), std::free}; }

    void submit(std::function<void()> work) {
        if (capturing_) {
            tape_.push_back(std::move(work));
        } else {
            work();
        }
    }
    void copy(void* to, const void* from, std::size_t bytes) {
        submit([=] { std::memcpy(to, from, bytes); });
    }
    void fill_zero(void* to, std::size_t bytes) {
        submit([=] { std::memset(to, 0, bytes); });
    }
    void upload(void* to, const void* from, std::size_t bytes) {
        refuse_while_capturing("uploading");
        std::memcpy(to, from, bytes);
    }
    void download(void* to, const void* from, std::size_t bytes) {
        refuse_while_capturing("downloading");
        std::memcpy(to, from, bytes);
    }
    void synchronize() { refuse_while_capturing("waiting"); }
    void wait_for(std::uintptr_t) {}
    std::string what_is_wrong_with(const void*) const { return {}; }

    void begin_capture() {
        refuse_while_capturing("capturing once more");
        tape_.clear();
        capturing_ = true;
    }
    std::unique_ptr<Graph> end_capture() {
        capturing_ = false;
        return std::unique_ptr<Graph>(new Graph{std::move(tape_)});
    }
    void abandon_capture() {
        capturing_ = false;
        tape_.clear();
    }
    void launch(const Graph& graph) {
        for (const auto& work : graph.tape) work();
    }

    // Bytes that all host streams' arrays hold now.
    static std::atomic<std::size_t>& allocated() {
        static std::atomic<std::size_t> bytes{0};
        return bytes;
    }

  private:
    void refuse_while_capturing(const char* what) const {
        if (capturing_)
            throw DeviceRuntimeError(std::string(what) + " is not permitted while a stream is being captured");
    }

    std::size_t limit_;
    bool capturing_ = false;
    HostTape tape_;
};

}  // namespace pyiseg
