// pyiseg._core: the CPU ops, and the submodule cuda where it was built.
#include <pybind11/stl.h>

#include <cstdlib>

#include "checks.h"

namespace pyiseg::bind {

void add_cuda(py::module_& core);

namespace {

void click_maps_(const py::array& clicks, const std::vector<double>& sigmas, py::array out) {
    check_array<float>(out, "out", 3);
    const Sigmas s = check_sigmas(sigmas);
    check_planes(out, "out", 2 * s.count);
    const Size size = size_of(out, "out");
    const Clicks c = check_clicks(clicks, size);
    auto* o = output<float>(out, "out");
    check_apart(clicks, "clicks", out, "out");
    py::gil_scoped_release release;
    click_maps(Cpu{}, c, s, size, o);
}

void force_clicks_(const py::array& clicks, py::array alpha) {
    check_array<float>(alpha, "alpha", 2);
    const Size size = size_of(alpha, "alpha");
    const Clicks c = check_clicks(clicks, size);
    auto* a = output<float>(alpha, "alpha");
    check_apart(clicks, "clicks", alpha, "alpha");
    py::gil_scoped_release release;
    force_clicks(Cpu{}, c, size, a);
}

void pin_clicks_(const py::array& guide, const py::array& clicks, py::array lines) {
    check_array<float>(guide, "guide", 2);
    check_array<float>(lines, "lines", 3);
    check_planes(lines, "lines", 2);
    const Size size = size_of(guide, "guide");
    check_same_size(size_of(lines, "lines"), size, "lines", "guide");
    const Clicks c = check_clicks(clicks, size);
    auto* l = output<float>(lines, "lines");
    check_apart(guide, "guide", lines, "lines");
    check_apart(clicks, "clicks", lines, "lines");
    py::gil_scoped_release release;
    pin_clicks(Cpu{}, input<float>(guide), c, size, l);
}

void keep_clicked_regions_(const py::array& alpha, const py::array& clicks, std::int64_t margin, py::array labels,
                           py::array out) {
    check_array<float>(alpha, "alpha", 2);
    check_array<std::int32_t>(labels, "labels", 2);
    check_array<float>(out, "out", 2);
    const Size size = size_of(alpha, "alpha");
    check_same_size(size_of(labels, "labels"), size, "labels", "alpha");
    check_same_size(size_of(out, "out"), size, "out", "alpha");
    const Clicks c = check_clicks(clicks, size);
    const int m = check_margin(margin, size);
    auto* l = output<std::int32_t>(labels, "labels");
    auto* o = output<float>(out, "out");
    check_apart(alpha, "alpha", out, "out");
    check_apart(alpha, "alpha", labels, "labels");
    check_apart(out, "out", labels, "labels");
    check_apart(clicks, "clicks", out, "out");
    check_apart(clicks, "clicks", labels, "labels");
    py::gil_scoped_release release;
    keep_clicked_regions(Cpu{}, input<float>(alpha), c, m, size, l, o);
}

void guided_filter_lines_(const py::array& guide, const py::array& p, int radius, double eps, py::array scratch,
                          py::array lines) {
    check_array<float>(guide, "guide", 2);
    check_array<float>(p, "p", 2);
    check_array<float>(scratch, "scratch", 3);
    check_array<float>(lines, "lines", 3);
    check_planes(scratch, "scratch", 2);
    check_planes(lines, "lines", 2);
    const Size size = size_of(guide, "guide");
    check_same_size(size_of(p, "p"), size, "p", "guide");
    check_same_size(size_of(scratch, "scratch"), size, "scratch", "guide");
    check_same_size(size_of(lines, "lines"), size, "lines", "guide");
    const int r = check_radius(radius);
    const float e = check_eps(eps);
    auto* s = output<float>(scratch, "scratch");
    auto* l = output<float>(lines, "lines");
    check_apart(guide, "guide", scratch, "scratch");
    check_apart(p, "p", scratch, "scratch");
    check_apart(scratch, "scratch", lines, "lines");
    check_apart(guide, "guide", lines, "lines");
    check_apart(p, "p", lines, "lines");
    py::gil_scoped_release release;
    guided_filter_lines(Cpu{}, input<float>(guide), input<float>(p), r, e, size, s, l);
}

template <class T>
void apply_lines_to(const py::array& lines, const py::array& guide, py::array& out) {
    check_array<T>(out, "out", 2);
    const Size grid = size_of(lines, "lines");
    const Size image = size_of(guide, "guide");
    check_same_size(size_of(out, "out"), image, "out", "guide");
    auto* o = output<T>(out, "out");
    check_apart(lines, "lines", out, "out");
    check_apart(guide, "guide", out, "out");
    py::gil_scoped_release release;
    apply_lines(Cpu{}, input<float>(lines), grid, input<float>(guide), image, o);
}

void apply_lines_(const py::array& lines, const py::array& guide, py::array out) {
    check_array<float>(lines, "lines", 3);
    check_array<float>(guide, "guide", 2);
    check_planes(lines, "lines", 2);
    if (py::dtype::of<unsigned char>().equal(out.dtype())) {
        apply_lines_to<unsigned char>(lines, guide, out);
    } else if (py::dtype::of<float>().equal(out.dtype())) {
        apply_lines_to<float>(lines, guide, out);
    } else {
        fail("out has dtype " + std::string(py::str(out.dtype())) + "; it must be float32 or uint8");
    }
}

void read_thread_count() {
    const char* value = std::getenv("PYISEG_NUM_THREADS");
    if (!value || !*value) return;
    char* end = nullptr;
    const long long n = std::strtoll(value, &end, 10);
    if (*end) fail(std::string("PYISEG_NUM_THREADS is '") + value + "'; it must be a whole number in 1..256");
    set_num_threads(check_threads(n, "PYISEG_NUM_THREADS"));
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    using py::arg;
    m.doc() = "The ops of pyiseg. Every op checks its arguments, releases the GIL and writes into the given arrays.";
    read_thread_count();

    m.def("click_maps", click_maps_, arg("clicks"), arg("sigmas"), arg("out"));
    m.def("force_clicks", force_clicks_, arg("clicks"), arg("alpha"));
    m.def("pin_clicks", pin_clicks_, arg("guide"), arg("clicks"), arg("lines"));
    m.def("keep_clicked_regions", keep_clicked_regions_, arg("alpha"), arg("clicks"), arg("margin"), arg("labels"),
          arg("out"));
    m.def("guided_filter_lines", guided_filter_lines_, arg("guide"), arg("p"), arg("radius"), arg("eps"),
          arg("scratch"), arg("lines"));
    m.def("apply_lines", apply_lines_, arg("lines"), arg("guide"), arg("out"));
    m.def("set_num_threads", [](long long n) { set_num_threads(check_threads(n, "n")); }, arg("n"));
    m.def("get_num_threads", num_threads);

#ifdef PYISEG_CUDA
    m.attr("cuda_built") = true;
    add_cuda(m);
#else
    m.attr("cuda_built") = false;
#endif
}

}  // namespace pyiseg::bind
