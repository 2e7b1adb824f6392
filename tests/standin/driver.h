// What the parts of the driver share: random inputs on both sides, and ops that have to give the same bits on both.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "../../csrc/device/cuda_stream.h"
#include "../../csrc/ops/ops.h"
#include "../../csrc/ops/ops_image.h"

namespace pyiseg::driver {

// Everything random comes from here; used by one thread.
struct Random {
    std::mt19937_64 engine;

    int between(int least, int most) {
        return least + static_cast<int>(engine() % static_cast<std::uint64_t>(most - least + 1));
    }
    std::vector<float> floats(std::size_t count, float least = 0.0f, float most = 1.0f) {
        std::uniform_real_distribution<float> any(least, most);
        std::vector<float> values(count);
        for (float& value : values) value = any(engine);
        return values;
    }
    std::vector<std::uint8_t> bytes(std::size_t count) {
        std::vector<std::uint8_t> values(count);
        for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(engine());
        return values;
    }
    std::vector<Click> clicks(Size size, int count) {
        std::vector<Click> all(static_cast<std::size_t>(count));
        for (Click& click : all) click = {between(0, size.w - 1), between(0, size.h - 1), between(0, 1)};
        if (count > 2) all.back() = {all[0].x, all[0].y, !all[0].label};  // one pixel, clicked both ways
        return all;
    }
};

// Memory of the device that begins at any multiple of its elements, as views of arrays do.
template <class T>
class DeviceArray {
  public:
    DeviceArray(CudaStream& stream, std::size_t count, std::size_t skew)
        : stream_(&stream),
          count_(count),
          owner_(stream.allocate((count + skew) * sizeof(T))),
          data_(static_cast<T*>(owner_.get()) + skew) {}

    T* data() const { return data_; }
    void upload(const std::vector<T>& values) { stream_->upload(data_, values.data(), count_ * sizeof(T)); }
    std::vector<T> download() const {
        std::vector<T> values(count_);
        stream_->download(values.data(), data_, count_ * sizeof(T));
        return values;
    }

  private:
    CudaStream* stream_;
    std::size_t count_;
    std::shared_ptr<void> owner_;
    T* data_;
};

// The same values for both sides.
template <class T>
class Input {
  public:
    Input(CudaStream& stream, Random& random, std::vector<T> values)
        : here_(std::move(values)), there_(stream, here_.size(), static_cast<std::size_t>(random.between(0, 15))) {
        there_.upload(here_);
    }
    const T* on(const Cpu&) const { return here_.data(); }
    const T* on(const Cuda&) const { return there_.data(); }
    const std::vector<T>& values() const { return here_; }

  private:
    std::vector<T> here_;
    DeviceArray<T> there_;
};

// Memory that an op may use, with other values on each side before: they must not matter.
template <class T>
class Scratch {
  public:
    Scratch(CudaStream& stream, Random& random, std::size_t count)
        : here_(count), there_(stream, count, static_cast<std::size_t>(random.between(0, 15))) {
        std::vector<T> ones(count);
        std::memset(static_cast<void*>(ones.data()), 0xFF, count * sizeof(T));  // NaN, or -1
        there_.upload(ones);
    }
    T* on(const Cpu&) { return here_.data(); }
    T* on(const Cuda&) { return there_.data(); }

  private:
    std::vector<T> here_;
    DeviceArray<T> there_;
};

// Counts comparisons, and says which ones failed.
class Bench {
  public:
    Bench(CudaStream& stream, Random& random) : stream_(stream), random_(random) {}

    // op(device, out) on both sides, where out starts as some values; what it returns in out has to be the same.
    template <class T, class Op>
    std::vector<T> run(const char* name, Size size, std::vector<T> values, const Op& op) {
        DeviceArray<T> there(stream_, values.size(), static_cast<std::size_t>(random_.between(0, 15)));
        there.upload(values);
        op(Cpu{}, values.data());
        op(stream_.device(), there.data());
        same(name, size, values, there.download());
        return values;
    }

    template <class T>
    void same(const char* name, Size size, const std::vector<T>& expected, const std::vector<T>& found) {
        ++comparisons_;
        for (std::size_t i = 0; i < expected.size(); ++i) {
            if (std::memcmp(&expected[i], &found[i], sizeof(T)) == 0) continue;
            ++failures_;
            std::printf("%s differs at %d x %d, from element %zu of %zu on\n", name, size.h, size.w, i,
                        expected.size());
            return;
        }
    }

    template <class T>
    Input<T> input(std::vector<T> values) {
        return Input<T>(stream_, random_, std::move(values));
    }
    template <class T>
    Scratch<T> scratch(std::size_t count) {
        return Scratch<T>(stream_, random_, count);
    }
    int comparisons() const { return comparisons_; }
    int failures() const { return failures_; }

  private:
    CudaStream& stream_;
    Random& random_;
    int comparisons_ = 0, failures_ = 0;
};

// Alpha of a kind: noise near percolation, stripes, one region, a serpentine, diagonals, rings.
constexpr int kAlphaKinds = 7;
std::vector<float> alpha_of(Random& random, Size size, int kind);

void click_ops(Bench& bench, Random& random, Size size);
void filter_ops(Bench& bench, Random& random, Size size);
void image_ops(Bench& bench, Random& random, Size size);
// More columns than one launch has room for, and after an error that another library has left.
void launches(Bench& bench, Random& random);

// A captured click, launched many times, with arrays made and dropped while it runs.
void captured_clicks(Bench& bench, Random& random, Size size, int launches);
// A feed and a graph that go while what they launched is under way.
void dropped_feeds(Random& random, Size size);
// Streams in several threads that wait for one another.
void threads_with_streams();
// All ops in many threads at once, each on data and a stream of its own; the CPU's threads are shared. Returns how many
// comparisons were made and how many differ.
struct Count {
    int comparisons, failures;
};
Count threads_with_ops(Random& random, int threads);

}  // namespace pyiseg::driver
