// The driver's streams: captured clicks, feeds that are dropped, streams in several threads.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>

#include "../../csrc/device/click_graph.h"
#include "driver.h"
#include "settings.h"

namespace pyiseg::driver {
namespace {

constexpr int kCapacity = 16;

// A feed, and its array of clicks on the device.
std::pair<std::shared_ptr<ClickFeed<CudaStream>>, const Click*> feed_of(const std::shared_ptr<CudaStream>& stream,
                                                                        Size size) {
    Array rows;
    rows.dtype = DType::int32;
    rows.shape = {3, kCapacity, 3};
    rows.item_bytes = sizeof(std::int32_t);
    rows.space = Space::cuda;
    rows.owner = stream->allocate(rows.bytes());
    rows.data = rows.owner.get();
    const auto* clicks = static_cast<const Click*>(rows.data);
    return {std::make_shared<ClickFeed<CudaStream>>(stream, std::move(rows), size, size), clicks};
}

FedClicks fed(const std::vector<Click>& clicks) {
    const Clicks all{clicks.data(), static_cast<int>(clicks.size())};
    return {all, all.count - 1, all};
}

void check(bool right, const char* what) {
    if (right) return;
    std::printf("%s went wrong\n", what);
    std::abort();
}

}  // namespace

void captured_clicks(Bench& bench, Random& random, Size size, int launches) {
    const auto stream = std::make_shared<CudaStream>();
    const std::size_t n = static_cast<std::size_t>(size.h) * static_cast<std::size_t>(size.w);
    const auto alpha = alpha_of(random, size, 0), guide = random.floats(n, -0.5f, 0.5f);
    const auto alpha_there = bench.input(alpha), guide_there = bench.input(guide);
    DeviceArray<float> prediction(*stream, n, 0), kept(*stream, n, 0), scratch(*stream, 2 * n, 0),
        coefficients(*stream, 2 * n, 0);
    DeviceArray<std::int32_t> labels(*stream, n, 0);
    DeviceArray<unsigned char> matte(*stream, n, 0);
    auto [feed, rows] = feed_of(stream, size);
    const Clicks clicks{rows, kCapacity};
    const auto click = [&](const auto& device, const float* from, const float* guided_by, Clicks made, float* p,
                           std::int32_t* marks, float* clean, float* room, float* lines, unsigned char* out) {
        (void)from;
        force_clicks(device, made, size, p);
        keep_clicked_components(device, p, made, 3, size, marks, clean);
        guided_filter_coefficients(device, guided_by, clean, 2, 1e-3f, true, size, room, lines);
        pin_clicks(device, guided_by, made, size, lines);
        apply_coefficients(device, lines, size, LearnedGuide{guided_by}, size, out);
    };
    ClickGraph<CudaStream> graph(std::move(feed), [&] {
        const Cuda device = stream->device();
        stream->copy(prediction.data(), alpha_there.on(device), n * sizeof(float));
        click(device, nullptr, guide_there.on(device), clicks, prediction.data(), labels.data(), kept.data(),
              scratch.data(), coefficients.data(), matte.data());
    });
    std::vector<std::pair<DeviceArray<float>, std::vector<float>>> pending;
    for (int launch = 0; launch < launches; ++launch) {
        const auto made = random.clicks(size, random.between(1, kCapacity));
        graph.launch(fed(made));
        DeviceArray<float> result(*stream, 2 * n, 0);
        {  // made, written, read and dropped while work is under way
            DeviceArray<float> other(*stream, 2 * n, 0);
            stream->copy(other.data(), coefficients.data(), 2 * n * sizeof(float));
            stream->copy(result.data(), other.data(), 2 * n * sizeof(float));
        }
        std::vector<float> p = alpha, clean(n), room(2 * n), lines(2 * n);
        std::vector<std::int32_t> marks(n);
        std::vector<unsigned char> out(n);
        click(Cpu{}, nullptr, guide.data(), Clicks{made.data(), static_cast<int>(made.size())}, p.data(), marks.data(),
              clean.data(), room.data(), lines.data(), out.data());
        pending.emplace_back(std::move(result), std::move(lines));
        if (launch % 4 != 3) continue;
        bench.same("the matte of a captured click", size, out, matte.download());
        for (const auto& [there, expected] : pending) {
            bench.same("the coefficients of a captured click", size, expected, there.download());
        }
        pending.clear();
    }
}

void dropped_feeds(Random& random, Size size) {
    for (int round = 0; round < 20; ++round) {
        const auto stream = std::make_shared<CudaStream>();
        DeviceArray<float> large(*stream, 1 << 18, 0);
        auto feed = feed_of(stream, size).first;
        const auto clicks = random.clicks(size, 5);
        if (round % 2) {  // as where capturing was refused
            feed->write(fed(clicks));
            for (int k = 0; k < 5; ++k) stream->fill_zero(large.data(), 1 << 20);
            feed->enqueue_copy();
            continue;
        }
        ClickGraph<CudaStream> graph(std::move(feed), [&] { stream->fill_zero(large.data(), 1 << 20); });
        graph.launch(fed(clicks));
    }
    check(standin::counters().destroyed_in_flight == 0, "destroying a graph");
}

void threads_with_streams() {
    constexpr std::size_t n = 1000, bytes = n * sizeof(float);
    std::thread capturing([] {
        for (int i = 0; i < 30; ++i) {
            const auto stream = std::make_shared<CudaStream>();
            DeviceArray<float> array(*stream, n, 0);
            array.upload(std::vector<float>(n, static_cast<float>(i + 1)));
            stream->begin_capture();
            stream->fill_zero(array.data(), bytes);
            const auto graph = stream->end_capture();
            stream->launch(*graph);
            check(array.download()[7] == 0.0f, "a captured fill");
        }
    });
    std::thread waiting([] {
        const auto one = std::make_shared<CudaStream>(), other = std::make_shared<CudaStream>();
        for (int i = 0; i < 60; ++i) {
            DeviceArray<float> source(*other, n, 0), middle(*other, n, 0), target(*one, n, 0);
            source.upload(std::vector<float>(n, static_cast<float>(i)));
            for (int k = 0; k < 5; ++k) other->fill_zero(middle.data(), bytes);
            other->copy(middle.data(), source.data(), bytes);
            one->wait_for(other->handle());
            one->copy(target.data(), middle.data(), bytes);
            other->wait_for(one->handle());  // before middle is freed there
            check(target.download()[7] == static_cast<float>(i), "waiting for another stream");
        }
    });
    capturing.join();
    waiting.join();
}

Count threads_with_ops(Random& random, int threads) {
    std::vector<std::uint64_t> seeds(static_cast<std::size_t>(threads));
    for (std::uint64_t& seed : seeds) seed = random.engine();
    std::atomic<int> comparisons{0}, failures{0};
    std::vector<std::thread> all;
    for (const std::uint64_t seed : seeds) {
        all.emplace_back([seed, &comparisons, &failures] {
            Random own{std::mt19937_64(seed)};
            const auto stream = std::make_shared<CudaStream>();
            Bench bench(*stream, own);
            const Size size{own.between(40, 70), own.between(40, 90)};  // large enough for several CPU threads
            click_ops(bench, own, size);
            filter_ops(bench, own, size);
            image_ops(bench, own, size);
            comparisons += bench.comparisons();
            failures += bench.failures();
        });
    }
    for (std::thread& thread : all) thread.join();
    return {comparisons, failures};
}

}  // namespace pyiseg::driver
