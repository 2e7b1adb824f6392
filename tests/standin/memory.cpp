#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "settings.h"
#include "stream.h"

namespace pyiseg::standin {
namespace {

constexpr std::size_t kBlock = 512, kPage = 4096, kArenaBytes = std::size_t{64} << 30;
constexpr int kFiller = 0xFF;  // NaN, for floats

struct Freed {
    char* data;
    std::size_t bytes;
    cudaStream_t stream;
    std::shared_ptr<std::atomic<bool>> done;
};

// Never destroyed: streams may end after other globals have.
struct Memory {
    std::mutex mutex;
    std::map<char*, std::size_t> live, pinned;
    std::vector<Freed> freed;  // the last one is taken first: memory is reused as early as it can be
    std::size_t used = 0, allocated = 0, capacity = 0;

    std::mutex arena_mutex;
    char* arena = nullptr;
    std::size_t arena_used = 0;
    int at_work = 0;
};
Memory& memory() {
    static Memory& all = *new Memory;
    return all;
}

constexpr std::size_t rounded(std::size_t bytes, std::size_t unit) {
    return (std::max<std::size_t>(bytes, 1) + unit - 1) / unit * unit;
}

std::size_t stated_capacity() {
    const char* value = std::getenv("PYISEG_STANDIN_MEMORY_MB");
    return (value && *value ? std::strtoull(value, nullptr, 10) : 2048) << 20;
}

[[noreturn]] void give_up(const char* why) {
    std::perror(why);
    std::abort();
}

void set_access(int access) {
    Memory& m = memory();
    if (m.arena_used && mprotect(m.arena, m.arena_used, access)) give_up("stand-in: mprotect");
}

// Addresses that were never used before.
char* fresh(std::size_t bytes) {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.arena_mutex);
    if (!m.arena) {
        void* mapped = mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED) give_up("stand-in: mmap");
        m.arena = static_cast<char*>(mapped);
    }
    char* data = m.arena + m.arena_used;
    const std::size_t whole = rounded(bytes, kPage);
    m.arena_used += whole;
    if (m.arena_used > kArenaBytes) give_up("stand-in: the arena is full");
    if (mprotect(data, whole, PROT_READ | PROT_WRITE)) give_up("stand-in: mprotect");
    std::memset(data, kFiller, whole);
    if (settings().protect && m.at_work == 0) mprotect(data, whole, PROT_NONE);
    return data;
}

// What was freed before and has the size: all that has run, and of the stream's own also what has not.
char* reused(std::size_t bytes, cudaStream_t stream, bool ordered) {
    Memory& m = memory();
    for (std::size_t i = m.freed.size(); i-- > 0;) {
        const Freed& candidate = m.freed[i];
        const bool done = candidate.done->load();
        if (candidate.bytes != bytes || !(done || (ordered && candidate.stream == stream))) continue;
        char* data = candidate.data;
        if (!done) ++counters().reused;
        m.freed.erase(m.freed.begin() + static_cast<std::ptrdiff_t>(i));
        return data;
    }
    return nullptr;
}

bool inside(const std::map<char*, std::size_t>& blocks, const void* address, std::size_t bytes) {
    char* data = static_cast<char*>(const_cast<void*>(address));
    auto block = blocks.upper_bound(data);
    if (block == blocks.begin()) return false;
    --block;
    return data + bytes <= block->first + block->second;
}

// Spoils memory that is free, unless the same stream's later work has it already.
void spoil(char* data, std::size_t bytes, const std::shared_ptr<std::atomic<bool>>& done) {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    for (const Freed& freed : m.freed) {
        if (freed.data != data || freed.done != done) continue;
        const AtWork now;
        std::memset(data, kFiller, bytes);
    }
    done->store(true);
}

}  // namespace

AtWork::AtWork() {
    if (!settings().protect) return;
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.arena_mutex);
    if (m.at_work++ == 0) set_access(PROT_READ | PROT_WRITE);
}

AtWork::~AtWork() {
    if (!settings().protect) return;
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.arena_mutex);
    if (--m.at_work == 0) set_access(PROT_NONE);
}

cudaError_t allocate(void** out, std::size_t bytes, cudaStream_t stream, bool ordered) {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    if (m.capacity == 0) m.capacity = stated_capacity();
    const std::size_t whole = rounded(bytes, kBlock);
    if (m.used + whole > m.capacity) return refuse(cudaErrorMemoryAllocation, "out of memory");
    char* data = nullptr;
    if (settings().arena) {
        data = reused(whole, stream, ordered);
        if (!data) data = fresh(whole);
    } else {
        data = static_cast<char*>(std::malloc(std::max<std::size_t>(bytes, 1)));
        if (!data) return refuse(cudaErrorMemoryAllocation, "the machine has no memory left");
        std::memset(data, kFiller, bytes);
    }
    m.used += whole;
    m.allocated += bytes;
    m.live[data] = bytes;
    ++counters().allocations;
    *out = data;
    return cudaSuccess;
}

cudaError_t release(void* address, cudaStream_t stream, bool ordered) {
    char* data = static_cast<char*>(address);
    std::size_t bytes = 0;
    const auto done = std::make_shared<std::atomic<bool>>(false);
    {
        Memory& m = memory();
        const std::lock_guard<std::mutex> lock(m.mutex);
        const auto block = m.live.find(data);
        if (block == m.live.end()) return refuse(cudaErrorInvalidValue, "free of what is not allocated");
        bytes = block->second;
        m.live.erase(block);
        m.used -= rounded(bytes, kBlock);
        m.allocated -= bytes;
        ++counters().frees;
        if (settings().arena) m.freed.push_back({data, rounded(bytes, kBlock), stream, done});
    }
    const auto work = [data, bytes, done] {
        if (settings().arena) {
            spoil(data, bytes, done);
        } else {
            std::free(data);
        }
    };
    if (ordered) return submit(stream, work, "cudaFreeAsync");
    wait_for_all();  // cudaFree waits for the whole device
    work();
    return cudaSuccess;
}

void* allocate_pinned(std::size_t bytes) {
    void* data = std::malloc(std::max<std::size_t>(bytes, 1));
    if (!data) return nullptr;
    std::memset(data, kFiller, bytes);
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    m.pinned[static_cast<char*>(data)] = bytes;
    return data;
}

// NVIDIA's waits for nothing that may still read it. Here the memory goes at once, so that such a read is seen.
void release_pinned(void* address) {
    {
        Memory& m = memory();
        const std::lock_guard<std::mutex> lock(m.mutex);
        const auto block = m.pinned.find(static_cast<char*>(address));
        if (block == m.pinned.end()) return;
        std::memset(address, kFiller, block->second);
        m.pinned.erase(block);
    }
    std::free(address);
}

bool on_device(const void* address, std::size_t bytes) {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    return inside(m.live, address, bytes);
}

bool is_pinned(const void* address, std::size_t bytes) {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    return inside(m.pinned, address, bytes);
}

std::size_t allocated() {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    return m.allocated;
}

std::size_t allocated_pinned() {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    std::size_t bytes = 0;
    for (const auto& [data, size] : m.pinned) bytes += size;
    return bytes;
}

std::size_t used() {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    return m.used;
}

std::size_t capacity() {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    return m.capacity ? m.capacity : stated_capacity();
}

void set_capacity(std::size_t bytes) {
    Memory& m = memory();
    const std::lock_guard<std::mutex> lock(m.mutex);
    m.capacity = bytes ? bytes : stated_capacity();
}

}  // namespace pyiseg::standin
