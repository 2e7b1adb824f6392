// A device's face in Python: its stream, the clicks' feed and the captured click.
#pragma once

#include <array>
#include <limits>
#include <memory>
#include <utility>

#include "../device/click_graph.h"
#include "image_ops.h"
#include "ops.h"

namespace pyiseg::bind {

// Runs what may wait for the device, such as freeing something there, without holding up Python's other threads; the
// last one to hold it may have Python's lock or not.
template <class F>
void without_gil(const F& f) {
    if (!PyGILState_Check()) return f();
    const py::gil_scoped_release release;
    f();
}

template <class T>
std::shared_ptr<T> freed_without_gil(std::shared_ptr<T> owner) {
    T* data = owner.get();
    return {data, [held = std::move(owner)](T*) mutable { without_gil([&] { held.reset(); }); }};
}

template <class Stream>
Array empty(Stream& stream, std::vector<std::int64_t> shape, const py::object& dtype) {
    check_sides(shape);
    Array array = shaped(nullptr, check_dtype(py::dtype::from_args(dtype)), std::move(shape), Stream::kSpace, nullptr);
    py::gil_scoped_release release;
    const auto guard = stream.guard();
    array.owner = freed_without_gil(stream.allocate(array.bytes()));
    array.device = stream.index();
    array.data = array.owner.get();
    return array;
}

inline void check_copy(const ArrayRef& from, Space from_space, const ArrayRef& to, Space to_space) {
    check_space(from, from_space);
    check_space(to, to_space);
    if (from.dtype != to.dtype || from.bytes() != to.bytes()) {
        fail(std::string("from is ") + from.type_name + " " + text(from.shape) + " but to is " + to.type_name + " " +
             text(to.shape) + "; they must have the same dtype and as many elements");
    }
    if (!from.contiguous || !to.contiguous) fail("a copy needs C-contiguous arrays");
    if (!to.writeable) fail("to is read-only");
    check_apart(from, "from", to, "to");
}

template <class Stream>
void upload(Stream& stream, const ArrayRef& from, const ArrayRef& to) {
    check_copy(from, Space::numpy, to, Stream::kSpace);
    const auto guard = stream.guard();
    stream.upload(to.data, from.data, from.bytes());
}

template <class Stream>
void download(Stream& stream, const ArrayRef& from, const ArrayRef& to) {
    check_copy(from, Stream::kSpace, to, Space::numpy);
    const auto guard = stream.guard();
    stream.download(to.data, from.data, from.bytes());
}

template <class Stream>
void copy(Stream& stream, const ArrayRef& from, const ArrayRef& to) {
    check_copy(from, Stream::kSpace, to, Stream::kSpace);
    const auto guard = stream.guard();
    stream.copy(to.data, from.data, from.bytes());
}

template <class Stream>
void fill_zero(Stream& stream, const ArrayRef& out) {
    check_space(out, Stream::kSpace);
    const auto guard = stream.guard();
    stream.fill_zero(out.data, out.bytes());
}

template <class Stream>
std::shared_ptr<ClickFeed<Stream>> make_feed(std::shared_ptr<Stream> stream, const Array& clicks,
                                             std::array<std::int64_t, 2> grid, std::array<std::int64_t, 2> image) {
    check_space(clicks, Stream::kSpace);
    check_array<std::int32_t>(clicks, "clicks", 3);
    if (clicks.shape[0] != 3 || clicks.shape[1] < 1 || clicks.shape[1] > 65536 || clicks.shape[2] != 3) {
        fail("clicks has shape " + text(clicks.shape) + "; it must be (3, capacity, 3) with capacity 1..65536");
    }
    const auto guard = stream->guard();
    return freed_without_gil(std::make_shared<ClickFeed<Stream>>(
        std::move(stream), clicks, check_size(grid[0], grid[1], "grid"), check_size(image[0], image[1], "image")));
}

template <class Stream>
FedClicks check_feed(const ClickFeed<Stream>& feed, const ArrayRef& rows, int previous_clicks,
                     const ArrayRef& image_rows) {
    check_space(rows, Space::numpy);
    check_space(image_rows, Space::numpy);
    const Clicks all = check_clicks(rows, feed.grid()),
                 on_image = check_clicks(image_rows, feed.image(), "image_clicks");
    if (all.count > feed.capacity()) {
        fail("clicks has " + std::to_string(all.count) + " rows; there is room for " + std::to_string(feed.capacity()));
    }
    if (previous_clicks < 0 || previous_clicks > all.count) {
        fail("previous_clicks is " + std::to_string(previous_clicks) + "; it must lie in 0.." +
             std::to_string(all.count));
    }
    check_same_count(on_image, all);
    return {all, previous_clicks, on_image};
}

// A stream's device as the current one of this thread, for a with statement: runtimes that are called in between ask
// what is current. Valid inside the block only, which is all that Python can do with it.
template <class Stream>
class Current {
  public:
    explicit Current(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
    void enter() { guard_.reset(new Guard(stream_->guard())); }
    void leave() { guard_.reset(); }

  private:
    using Guard = typename Stream::Guard;

    std::shared_ptr<Stream> stream_;
    std::unique_ptr<Guard> guard_;
};

template <class Stream>
py::class_<Stream, std::shared_ptr<Stream>> add_device(py::module_& m) {
    using py::arg;
    const auto free_gil = py::call_guard<py::gil_scoped_release>();
    using Feed = ClickFeed<Stream>;
    using Graph = ClickGraph<Stream>;

    py::class_<Stream, std::shared_ptr<Stream>> stream(m, "Stream");
    stream.def_property_readonly("handle", &Stream::handle)
        .def("empty", empty<Stream>, arg("shape"), arg("dtype") = py::dtype::of<float>())
        .def("upload", upload<Stream>, arg("array"), arg("to"), free_gil)
        .def("download", download<Stream>, arg("array"), arg("to"), free_gil)
        .def("copy", copy<Stream>, arg("array"), arg("to"), free_gil)
        .def("fill_zero", fill_zero<Stream>, arg("out"), free_gil)
        .def("synchronize", &Stream::synchronize, free_gil)
        .def(
            "wait_for",
            [](Stream& self, std::uintptr_t other) {
                const auto guard = self.guard();
                self.wait_for(other);
            },
            arg("stream"), free_gil)
        .def(
            "check_address",
            [](const Stream& self, std::uintptr_t address) {
                const auto guard = self.guard();
                const std::string wrong = self.what_is_wrong_with(reinterpret_cast<const void*>(address));
                if (!wrong.empty()) fail(wrong);
            },
            arg("address"), free_gil);
    add_ops<typename Stream::Device>(stream, OnStream<Stream>{});
    add_image_ops<typename Stream::Device>(stream, OnStream<Stream>{});

    py::class_<Current<Stream>>(m, "Current")
        .def("__enter__", &Current<Stream>::enter)
        .def("__exit__", [](Current<Stream>& current, const py::args&) { current.leave(); });
    stream.def("current", [](std::shared_ptr<Stream> self) { return Current<Stream>(std::move(self)); });

    py::class_<Feed, std::shared_ptr<Feed>>(m, "ClickFeed")
        .def(py::init(&make_feed<Stream>), arg("stream"), arg("clicks"), arg("grid"), arg("image"))
        .def_property_readonly("capacity", &Feed::capacity)
        .def(
            "write",
            [](Feed& feed, const ArrayRef& rows, int previous_clicks, const ArrayRef& image_rows) {
                const FedClicks fed = check_feed(feed, rows, previous_clicks, image_rows);
                const auto guard = feed.stream()->guard();
                feed.write(fed);
                feed.enqueue_copy();
            },
            arg("clicks"), arg("previous_clicks"), arg("image_clicks"), free_gil);

    py::class_<Graph>(m, "ClickGraph")
        .def(py::init([](std::shared_ptr<Feed> feed, const py::function& enqueue) {
                 return std::make_unique<Graph>(std::move(feed), [&enqueue] { enqueue(); });
             }),
             arg("feed"), arg("enqueue"))
        .def(
            "launch",
            [](Graph& graph, const ArrayRef& rows, int previous_clicks, const ArrayRef& image_rows) {
                graph.launch(check_feed(graph.feed(), rows, previous_clicks, image_rows));
            },
            arg("clicks"), arg("previous_clicks"), arg("image_clicks"), free_gil);
    return stream;
}

}  // namespace pyiseg::bind
