// The threads of a kernel: dealt out to OS threads in random order, in groups like warps.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "memory.h"
#include "settings.h"
#include "stream.h"

namespace pyiseg::standin {

struct Place {
    uint3 block, thread;
    dim3 block_size, grid_size;
};
thread_local Place place;
thread_local long label_accesses = 0;  // of the device thread that runs now
thread_local long wide_reads = 0, wide_stores = 0;

void label_access() {
    ++label_accesses;
    const std::uint64_t one_in = settings().yield;
    if (one_in && random_number() % one_in == 0) std::this_thread::yield();
}

namespace {

constexpr std::size_t kMostArgumentBytes = 4096;
constexpr unsigned kMostThreads = 1024, kMostBlocks = 65535, kMostBlocksX = 2147483647u;

class Kernel {
  public:
    Kernel(dim3 grid, dim3 block, const std::function<void()>& one_thread)
        : grid_(grid),
          block_(block),
          one_thread_(one_thread),
          threads_(std::uint64_t{1} * grid.x * grid.y * grid.z * block.x * block.y * block.z),
          groups_((threads_ + settings().grain - 1) / settings().grain),
          offset_(random_number() % groups_) {
        // Group number (a i + b) mod n for i = 0, 1, ...: with a prime to n a random order that needs no list.
        stride_ = random_number() % groups_;
        while (std::gcd(stride_, groups_) != 1) stride_ = (stride_ + 1) % groups_;
    }

    std::uint64_t groups() const { return groups_; }
    std::uint64_t threads() const { return threads_; }

    void work() {
        std::vector<std::uint64_t> lanes(settings().grain);
        for (;;) {
            const std::uint64_t turn = next_.fetch_add(1, std::memory_order_relaxed);
            if (turn >= groups_) break;
            const std::uint64_t first = (stride_ * turn + offset_) % groups_ * settings().grain;
            const std::uint64_t n = std::min<std::uint64_t>(settings().grain, threads_ - first);
            std::iota(lanes.begin(), lanes.begin() + static_cast<std::ptrdiff_t>(n), first);
            for (std::uint64_t i = n; i > 1; --i) std::swap(lanes[i - 1], lanes[random_number() % i]);
            for (std::uint64_t i = 0; i < n; ++i) run(lanes[i]);
        }
        counters().wide_reads += std::exchange(wide_reads, 0);
        counters().wide_stores += std::exchange(wide_stores, 0);
    }

  private:
    void run(std::uint64_t id) const {
        const std::uint64_t size = std::uint64_t{1} * block_.x * block_.y * block_.z;
        const auto block = static_cast<unsigned>(id / size), thread = static_cast<unsigned>(id % size);
        place = {{block % grid_.x, block / grid_.x % grid_.y, block / grid_.x / grid_.y},
                 {thread % block_.x, thread / block_.x % block_.y, thread / block_.x / block_.y},
                 block_,
                 grid_};
        label_accesses = 0;
        one_thread_();
        raise_to(counters().most_label_accesses, label_accesses);
    }

    dim3 grid_, block_;
    const std::function<void()>& one_thread_;
    std::uint64_t threads_, groups_, offset_, stride_ = 1;
    std::atomic<std::uint64_t> next_{0};
};

void run_kernel(dim3 grid, dim3 block, const std::function<void()>& one_thread) {
    const AtWork now;
    Kernel kernel(grid, block, one_thread);
    ++counters().launches;
    counters().device_threads += static_cast<long>(kernel.threads());
    const auto helpers = std::min<std::uint64_t>(static_cast<std::uint64_t>(settings().workers), kernel.groups()) - 1;
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < helpers; ++i) threads.emplace_back([&] { kernel.work(); });
    kernel.work();
    for (std::thread& thread : threads) thread.join();
}

bool possible(dim3 grid, dim3 block) {
    const std::uint64_t size = std::uint64_t{1} * block.x * block.y * block.z;
    return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && grid.x <= kMostBlocksX && grid.y <= kMostBlocks &&
           grid.z <= kMostBlocks && size >= 1 && size <= kMostThreads;
}

}  // namespace

cudaError_t enqueue_kernel(cudaStream_t stream, dim3 grid, dim3 block, std::size_t argument_bytes,
                           std::function<void()> one_thread) {
    if (const cudaError_t failed = enter("launch")) return failed;
    if (!possible(grid, block)) return refuse(cudaErrorInvalidConfiguration, "launch");
    if (argument_bytes > kMostArgumentBytes) return refuse(cudaErrorInvalidValue, "launch");
    raise_to(counters().largest_grid_y, static_cast<long>(grid.y));
    return submit(stream, [grid, block, one = std::move(one_thread)] { run_kernel(grid, block, one); }, "launch");
}

}  // namespace pyiseg::standin
