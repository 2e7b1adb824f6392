// The ops on CPU threads.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>

#ifndef _WIN32
#include <pthread.h>
#endif

#include "ops.h"

namespace pyiseg {
namespace {

// Threads that wait for work. The caller works too, so n threads mean n - 1 workers. Never destroyed: workers sleep
// until the process ends, and a forked child, which has none of them, starts a pool of its own.
class Pool {
  public:
    static Pool*& instance() {
        static Pool* pool = start();
        return pool;
    }

    // Calls work(0..chunks-1), each once. If another Python thread is using the pool, does everything itself.
    void run(int chunks, int threads, const std::function<void(int)>& work) {
        std::unique_lock<std::mutex> using_pool(busy_, std::try_to_lock);
        if (!using_pool.owns_lock()) {
            for (int i = 0; i < chunks; ++i) work(i);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            hire(threads - 1);
            work_ = &work;
            chunks_ = chunks;
            next_ = 0;
            helpers_ = std::min(threads - 1, workers_);
            unfinished_ = helpers_;
            ++round_;
        }
        wake_.notify_all();
        take_chunks();
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return unfinished_ == 0; });
    }

  private:
    static Pool* start() {
#ifndef _WIN32
        pthread_atfork(nullptr, nullptr, [] { instance() = new Pool; });
#endif
        return new Pool;
    }

    // Where the system gives no more threads, as many as it gave do the work: the results are the same bits.
    void hire(int wanted) {
        try {
            for (; workers_ < wanted; ++workers_) std::thread(&Pool::wait_and_work, this, workers_, round_).detach();
        } catch (const std::system_error&) {
        }
    }

    void take_chunks() {
        for (int i = next_++; i < chunks_; i = next_++) (*work_)(i);
    }

    void wait_and_work(int index, unsigned seen) {
        for (;;) {
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return round_ != seen; });
                seen = round_;
                if (index >= helpers_) continue;  // fewer threads are wanted now than there once were
            }
            take_chunks();
            std::lock_guard<std::mutex> lock(mutex_);
            if (--unfinished_ == 0) done_.notify_one();
        }
    }

    std::mutex busy_, mutex_;
    std::condition_variable wake_, done_;
    const std::function<void(int)>* work_ = nullptr;
    std::atomic<int> next_{0};
    int chunks_ = 0, workers_ = 0, helpers_ = 0, unfinished_ = 0;
    unsigned round_ = 0;
};

// More than eight threads only wait for memory in ops this small.
std::atomic<int> wanted_threads{std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 8)};

}  // namespace

int num_threads() {
    return wanted_threads;
}
void set_num_threads(int n) {
    wanted_threads = n;
}

// On x86-64 the ops are compiled twice, and each machine runs what it can: AVX2 has vectors twice as long, and the
// shuffles that RGB needs. Results are the same bits, for nothing is fused or reordered; to try it, compile with
// PYISEG_NO_CLONES. It needs the ifunc of glibc.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(PYISEG_NO_CLONES)
#define PYISEG_CLONES __attribute__((target_clones("avx2", "default"), noinline, flatten))
#else
#define PYISEG_CLONES
#endif

template <class F>
PYISEG_CLONES void run_rows(const F& f, int first, int last, int columns) {
    const F local = f;  // a copy nobody else can see lets the compiler keep its members in registers
    for (int row = first; row < last; ++row) {
        for (int column = 0; column < columns; ++column) local(row, column);
    }
}

template <class F>
void deal_rows(const F& f, int rows, int columns, int threads, int bands) {
    if (threads == 1) return run_rows(f, 0, rows, columns);
    const int chunks = std::min(rows, bands);
    Pool::instance()->run(chunks, threads, [&](int i) {
        const auto edge = [&](int k) { return static_cast<int>(static_cast<std::int64_t>(rows) * k / chunks); };
        run_rows(f, edge(i), edge(i + 1), columns);
    });
}

// Rows are dealt out in bands. Each (row, column) is computed alone, so results do not depend on the number of threads.
template <class F>
void Cpu::for_each(int rows, int columns, const F& f) const {
    constexpr std::int64_t worth_waking = 2048;  // calls; fewer take less time than waking a thread
    const int threads = std::min(num_threads(), rows);
    const bool few = static_cast<std::int64_t>(rows) * columns < worth_waking;
    deal_rows(f, rows, columns, few ? 1 : threads, 4 * threads);
}

// Row by row, for the work in a tile differs.
template <class F>
void Cpu::for_each_tile(int rows, int columns, const F& f) const {
    deal_rows(f, rows, columns, std::min(num_threads(), rows), rows);
}

}  // namespace pyiseg

#include "foreground.inl"
#include "ops.inl"
#include "ops_image.inl"

PYISEG_INSTANTIATE_OPS(Cpu)
PYISEG_INSTANTIATE_IMAGE_OPS(Cpu)
PYISEG_INSTANTIATE_FOREGROUND(Cpu)

#include "apply_in.inl"
