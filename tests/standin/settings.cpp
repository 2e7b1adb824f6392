#include "settings.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>

namespace pyiseg::standin {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value && *value ? std::strtoull(value, nullptr, 10) : otherwise;
}

struct Fault {
    long at;
    cudaError_t error;
};

std::mutex mutex;
std::map<std::string, long>& made = *new std::map<std::string, long>;  // outlive other globals
std::multimap<std::string, Fault>& faults = *new std::multimap<std::string, Fault>;
std::atomic<bool> lost{false};
thread_local cudaError_t last = cudaSuccess;

// Says at the end what was done, so that a run that tested nothing is seen.
struct Report {
    ~Report() {
        if (!settings().report) return;
        const Counters& c = counters();
        std::fprintf(
            stderr,
            "stand-in: seed %llu, %ld launches, %ld device threads, %ld copies, %ld allocations (%ld of memory "
            "whose last user had not run yet), %ld frees, %ld captures, %ld graph launches, %ld refusals, "
            "grid.y <= %ld\n",
            static_cast<unsigned long long>(settings().seed), c.launches.load(), c.device_threads.load(),
            c.copies.load(), c.allocations.load(), c.reused.load(), c.frees.load(), c.captures.load(),
            c.graph_launches.load(), c.refused.load(), c.largest_grid_y.load());
    }
} report;

}  // namespace

const Settings& settings() {
    static const Settings read{
        from_environment("PYISEG_STANDIN_SEED", std::random_device{}()),
        static_cast<int>(from_environment("PYISEG_STANDIN_WORKERS", 3)),
        static_cast<std::size_t>(from_environment("PYISEG_STANDIN_GRAIN", 32)),
        from_environment("PYISEG_STANDIN_YIELD", 64),
        from_environment("PYISEG_STANDIN_DELAY_US", 100),
        from_environment("PYISEG_STANDIN_POOLS", 1) != 0,
        from_environment("PYISEG_STANDIN_ARENA", 1) != 0,
        from_environment("PYISEG_STANDIN_PROTECT", 0) != 0,
        from_environment("PYISEG_STANDIN_REPORT", 0) != 0,
    };
    return read;
}

std::uint64_t random_number() {
    static std::atomic<std::uint64_t> threads{1};
    thread_local std::uint64_t state = 0;
    if (state == 0) {
        const std::uint64_t nth = threads.fetch_add(1, std::memory_order_relaxed);
        state = ((settings().seed * 0x9E3779B97F4A7C15u) ^ (nth * 0xD1B54A32D192ED03u)) | 1;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

Counters& counters() {
    static Counters all;
    return all;
}

void raise_to(std::atomic<long>& most, long value) {
    long old = most.load(std::memory_order_relaxed);
    while (value > old && !most.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
    }
}

cudaError_t refuse(cudaError_t error, const char*) {
    ++counters().refused;
    last = error;
    return error;
}

cudaError_t last_error(bool forget) {
    const cudaError_t error = device_lost() ? cudaErrorIllegalAddress : last;
    if (forget) last = cudaSuccess;
    return error;
}

cudaError_t enter(const char* call) {
    if (device_lost()) return refuse(cudaErrorIllegalAddress, call);
    const std::lock_guard<std::mutex> lock(mutex);
    const long nth = ++made[call];
    const auto range = faults.equal_range(call);
    for (auto fault = range.first; fault != range.second; ++fault) {
        if (fault->second.at != nth) continue;
        const cudaError_t error = fault->second.error;
        faults.erase(fault);
        return refuse(error, call);
    }
    return cudaSuccess;
}

void fail(const std::string& call, long after, cudaError_t error) {
    const std::lock_guard<std::mutex> lock(mutex);
    faults.emplace(call, Fault{made[call] + after + 1, error});
}

void lose_device() {
    lost = true;
}

bool device_lost() {
    return lost;
}

void mend() {
    const std::lock_guard<std::mutex> lock(mutex);
    faults.clear();
    lost = false;
    last = cudaSuccess;
}

long calls(const std::string& call) {
    const std::lock_guard<std::mutex> lock(mutex);
    return made[call];
}

}  // namespace pyiseg::standin
