// What the parts of the stand-in share: settings from the environment, random numbers, counters, and faults to come.
#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace pyiseg::standin {

// Read once, when the library is loaded; see README.md.
struct Settings {
    std::uint64_t seed;
    int workers;
    std::size_t grain;
    std::uint64_t yield;
    std::uint64_t delay_us;
    bool pools, arena, protect, report;
};
const Settings& settings();

// Each OS thread has a sequence of its own, which follows from the seed and the order in which threads ask first.
std::uint64_t random_number();

struct Counters {
    std::atomic<long> launches{0}, device_threads{0}, copies{0}, allocations{0}, frees{0}, reused{0}, captures{0},
        graph_launches{0}, refused{0}, largest_grid_y{0}, most_label_accesses{0}, wide_reads{0}, wide_stores{0},
        destroyed_in_flight{0};
};
Counters& counters();
void raise_to(std::atomic<long>& most, long value);

// A failure of a call, kept as CUDA keeps the last error of a thread.
cudaError_t refuse(cudaError_t error, const char* why);
cudaError_t last_error(bool forget);

// Counts a call, and says whether it is to fail: cudaSuccess if not.
cudaError_t enter(const char* call);

// Lets the call after so many more with that name fail, once. Name "launch" stands for a kernel's launch.
void fail(const std::string& call, long after, cudaError_t error);
// From now on every call fails and nothing that was enqueued is done, as after an illegal access.
void lose_device();
bool device_lost();
// Forgets faults and a lost device.
void mend();
// How often a call was made since the process began.
long calls(const std::string& call);

}  // namespace pyiseg::standin
