// The clicks' way to the device, and a whole click captured as a graph.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "../ops/ops.h"
#include "array.h"
#include "device_error.h"

namespace pyiseg {

// All clicks on the grid, how many of them the previous prediction was made for, and all of them on the image.
struct FedClicks {
    Clicks all;
    int previous;
    Clicks on_image;
};

// Clicks go through pinned memory of fixed size into clicks (3, capacity, 3): all of them and those of the previous
// prediction, on the grid, and all of them on the image; each list ended by a label of -1 where it does not fill its
// plane.
template <class Stream>
class ClickFeed {
  public:
    ClickFeed(std::shared_ptr<Stream> stream, Array clicks, Size grid, Size image)
        : stream_(std::move(stream)),
          clicks_(std::move(clicks)),
          grid_(grid),
          image_(image),
          pinned_(Stream::allocate_pinned(clicks_.bytes())) {}
    ~ClickFeed() {
        finish();  // a copy may still be reading the pinned memory
    }
    ClickFeed(const ClickFeed&) = delete;
    ClickFeed& operator=(const ClickFeed&) = delete;

    const std::shared_ptr<Stream>& stream() const { return stream_; }
    Size grid() const { return grid_; }
    Size image() const { return image_; }
    int capacity() const { return static_cast<int>(clicks_.shape[1]); }

    // Waits for what is enqueued, for destructors: they have no one to tell of a failure.
    void finish() noexcept {
        try {
            const auto guard = stream_->guard();
            stream_->synchronize();
        } catch (const DeviceRuntimeError&) {
        }
    }

    // The copy is enqueued, or kept while the stream is captured.
    void enqueue_copy() { stream_->copy(clicks_.data, pinned_.get(), clicks_.bytes()); }

    // Writes the pinned memory, which a copy that was enqueued before may still be reading: so that one is waited for.
    void write(const FedClicks& fed) {
        stream_->synchronize();
        auto* plane = static_cast<Click*>(pinned_.get());
        for (const Clicks list : {fed.all, Clicks{fed.all.data, fed.previous}, fed.on_image}) {
            for (int i = 0; i < list.count; ++i) plane[i] = list.data[i];
            if (list.count < capacity()) plane[list.count] = {0, 0, -1};
            plane += capacity();
        }
    }

  private:
    std::shared_ptr<Stream> stream_;
    Array clicks_;
    Size grid_, image_;
    std::shared_ptr<void> pinned_;
};

// One click as one launch. Valid from birth: whatever is thrown while capturing ends the capture, destroys the
// half-made graph and goes on to the caller, and the stream is as it was.
template <class Stream>
class ClickGraph {
  public:
    // enqueue only enqueues, on the feed's stream. It is called once and not kept.
    ClickGraph(std::shared_ptr<ClickFeed<Stream>> feed, const std::function<void()>& enqueue) : feed_(std::move(feed)) {
        Stream& stream = *feed_->stream();
        const auto guard = stream.guard();
        stream.begin_capture();
        try {
            feed_->enqueue_copy();
            enqueue();
        } catch (...) {
            stream.abandon_capture();
            throw;
        }
        graph_ = stream.end_capture();
    }

    ~ClickGraph() {
        feed_->finish();  // it may still be running, and is destroyed before the feed is
    }
    ClickGraph(const ClickGraph&) = delete;
    ClickGraph& operator=(const ClickGraph&) = delete;

    const ClickFeed<Stream>& feed() const { return *feed_; }

    void launch(const FedClicks& fed) {
        const auto guard = feed_->stream()->guard();
        feed_->write(fed);
        feed_->stream()->launch(*graph_);
    }

  private:
    std::shared_ptr<ClickFeed<Stream>> feed_;
    std::unique_ptr<typename Stream::Graph> graph_;
};

}  // namespace pyiseg
