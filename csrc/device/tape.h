// What was enqueued while a host stream was being captured.
#pragma once

#include <functional>
#include <vector>

namespace pyiseg {

using HostTape = std::vector<std::function<void()>>;

}  // namespace pyiseg
