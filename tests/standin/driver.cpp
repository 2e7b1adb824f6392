// Every op on random inputs of odd sizes and places, CUDA over the stand-in against the CPU, bit by bit; then captured
// clicks, and streams in several threads. No Python: for sanitizers.
//
//     standin_driver [ROUNDS [SEED]]
#include "driver.h"

#include <cstdlib>

#include "memory.h"

namespace {

// Everything; returns whether something differs.
bool run(int count, char** arguments) {
    using namespace pyiseg;
    using namespace pyiseg::driver;
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 20;
    Random random{std::mt19937_64(count > 2 ? std::strtoull(arguments[2], nullptr, 10) : std::random_device{}())};
    set_num_threads(2);
    const auto stream = std::make_shared<CudaStream>();
    Bench bench(*stream, random);
    constexpr Size first[] = {{1, 1}, {1, 37}, {2, 3}, {7, 4}, {33, 1}, {64, 64}};
    for (int round = 0; round < rounds; ++round) {
        const Size size = round < 6 ? first[round] : Size{random.between(1, 70), random.between(1, 90)};
        click_ops(bench, random, size);
        filter_ops(bench, random, size);
        image_ops(bench, random, size);
    }
    launches(bench, random);
    captured_clicks(bench, random, {33, 47}, rounds);
    dropped_feeds(random, {33, 47});
    threads_with_streams();
    const Count side_by_side = threads_with_ops(random, 16);
    const int comparisons = bench.comparisons() + side_by_side.comparisons;
    const int failures = bench.failures() + side_by_side.failures;
    std::printf("standin_driver: %d comparisons, %d of them in 16 threads; %d differ\n", comparisons,
                side_by_side.comparisons, failures);
    return failures != 0 || bench.comparisons() == 0 || side_by_side.comparisons == 0;
}

}  // namespace

int main(int count, char** arguments) {
    std::setvbuf(stdout, nullptr, _IONBF, 0);  // what was found is said even where the process is ended then
    const bool differs = run(count, arguments);
    // LeakSanitizer does not see what the stand-in itself knows of, as a GPU's memory is known to its driver.
    const std::size_t left = pyiseg::standin::allocated() + pyiseg::standin::allocated_pinned();
    if (left != 0) std::printf("%zu bytes of the device's and pinned memory are never freed\n", left);
    return differs || left != 0;
}
