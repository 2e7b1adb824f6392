#!/usr/bin/env bash
# Everything that needs a GPU, unattended, in less than ten minutes: builds the extension for the GPU that is here, runs the
# tests with it, tries the TensorRT packages, measures, looks at the kernels with compute-sanitizer, and writes the figures
# into docs/gpu.md and benchmarks/results.
#
#     benchmarks/gpu_checks.sh FOLDER
#
# FOLDER gets log.txt, gpu.json, gpu_tensorrt.json, gpu_steps.tsv and gpu.md, as they come. Needs nvcc, CMake, and a Python
# ($PYTHON, else python3) with scikit-build-core, pybind11, pytest, hypothesis, numpy, onnxruntime, onnx, onnxscript, OpenCV
# and PyTorch for CUDA; nothing is downloaded. pyiseg is installed into that Python, editable. CuPy, compute-sanitizer and
# TensorRT are used where they are; TENSORRT_WHEELS may name a folder of wheels, which are installed first.
#
# A step that fails does not stop the others; the exit code is 1 then.
set -uo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 1 ] || [ -z "$1" ]; then
    echo "a folder for results is needed: benchmarks/gpu_checks.sh FOLDER" >&2
    exit 2
fi
out=$(realpath -m "$1")
python=${PYTHON:-python3}
deadline=${GPU_CHECKS_SECONDS:-570}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
log=$out/log.txt
steps=$out/gpu_steps.tsv
: > "$log"
: > "$steps"
failed=0
export PYTHONUNBUFFERED=1 PYISEG_CACHE=$work/cache
command -v nvcc > /dev/null || PATH=$PATH:/usr/local/cuda/bin

# record NAME OUTCOME SECONDS OUTPUT: the outcome of a step, and the last line that it said.
record() {
    local last
    # Without this machine's paths: the last lines end up in docs/gpu.md.
    last=$(sed -e 's/[[:space:]]*$//' -e "s#$work/*##g" -e "s#$out/*##g" -e "s#$PWD/*##g" "$4" | grep -v '^$' | tail -n 1)
    last=$(printf '%s' "$last" | tr '\t' ' ' | cut -c 1-160)
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$last" >> "$steps"
    cat "$4" >> "$log"
    printf -- '-- %s: %s after %s s\n' "$1" "$2" "$3" | tee -a "$log"
    [ "$2" = ok ] || failed=1
}

# step NAME SECONDS COMMAND...: run a command for so long at most, and no longer than there is time left for all.
step() {
    local name=$1 limit=$2 start=$SECONDS code outcome=ok
    shift 2
    printf '\n== %s: %s\n' "$name" "$*" | tee -a "$log"
    [ $((deadline - SECONDS)) -ge "$limit" ] || limit=$((deadline - SECONDS))
    if [ "$limit" -lt 5 ]; then
        echo "the time for all steps was over" > "$work/output"
        record "$name" "not run" 0 "$work/output"
        return 1
    fi
    timeout --kill-after=10 "$limit" "$@" 2>&1 | tee "$work/output"
    code=${PIPESTATUS[0]}
    case $code in
        0) ;;
        124 | 137) outcome="stopped after $limit s" ;;
        *) outcome="failed, exit code $code" ;;
    esac
    record "$name" "$outcome" "$((SECONDS - start))" "$work/output"
    [ "$outcome" = ok ]
}

{
    nvidia-smi 2>&1 || echo "nvidia-smi is not here"
    nvcc --version 2>&1 || echo "nvcc is not here"
    "$python" -m pip list 2> /dev/null | grep -iE '^(torch|cupy|tensorrt|onnx|numpy|pybind11|scikit-build-core|pytest)'
} | tee -a "$log"
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 | tr -d '. ')

export CMAKE_ARGS="-DPYISEG_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=${capability:-native} -DCMAKE_COMPILE_WARNING_AS_ERROR=ON"
step build 240 "$python" -m pip install --no-build-isolation --no-deps --no-index --editable .

# The paper's network for the benchmark, on the CPU: up to a minute and a half, beside whatever is not timed.
exporting_since=$SECONDS
timeout --kill-after=10 400 "$python" -m export.random_model "$work/paper" > "$work/exporting" 2>&1 &
exporting=$!
# `timeout` is the leader of a process group; both are there until the script has waited for it.
export_gets() { [ -z "$exporting" ] || kill "-$1" -- "-$exporting" 2> /dev/null || true; }
trap 'export_gets KILL; rm -rf "$work"' EXIT

shopt -s nullglob
# In several processes where pytest-xdist is installed: most tests wait for the CPU's side of a comparison. The plugin
# pytest-benchmark, which no test here uses, warns of that, and warnings are errors.
several=()
if "$python" -c 'import xdist' 2> /dev/null; then several=(-n 6 --dist loadfile); fi
pytest=("$python" -m pytest -q -p no:cacheprovider -p no:benchmark --durations=5)
PYISEG_REQUIRE_GPU=1 step tests 200 "${pytest[@]}" "${several[@]}" -m 'not whole_gpu' \
    tests/core tests/runtime/test_resampling.py tests/runtime/test_cuda_pipeline.py tests/gpu

if [ -n "${TENSORRT_WHEELS:-}" ]; then
    step 'TensorRT wheels' 60 "$python" -m pip install --no-deps --no-index "$TENSORRT_WHEELS"/*.whl
fi
step TensorRT 90 "$python" benchmarks/gpu_tensorrt.py -o "$out/gpu_tensorrt.json"

# The driver tells how much of the whole GPU is in use, so these have it to themselves.
PYISEG_REQUIRE_GPU=1 step 'tests of memory' 120 "${pytest[@]}" -m whole_gpu tests/gpu

# Writes what it has as it goes, and what matters most first. The export waits: it would take cores that are timed.
limit=${GPU_CHECKS_BENCHMARK_SECONDS:-240}
export_gets STOP
step benchmark "$limit" "$python" benchmarks/bench_gpu.py -o "$out/gpu.json"
export_gets CONT

for tool in memcheck racecheck initcheck; do
    step "compute-sanitizer $tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 9 "$python" benchmarks/gpu_sanitize.py
done

outcome=failed
if wait "$exporting"; then outcome=ok; fi
exporting=
record "export of the paper's network" "$outcome" "$((SECONDS - exporting_since))" "$work/exporting"
if [ "$outcome" = ok ]; then
    step "benchmark of the paper's network" "$limit" \
        "$python" benchmarks/bench_gpu.py -o "$out/gpu.json" --paper "$work/paper" --add
fi

if [ -e "$out/gpu.json" ]; then
    mkdir -p benchmarks/results
    for file in gpu.json gpu_tensorrt.json gpu_steps.tsv; do
        [ ! -e "$out/$file" ] || cp "$out/$file" benchmarks/results/
    done
    deadline=$((SECONDS + 20))
    step report 20 "$python" benchmarks/gpu_report.py
    cp docs/gpu.md "$out/gpu.md"
else
    printf '\nNothing was measured, so docs/gpu.md stays as it is.\n' | tee -a "$log"
fi
printf '\n'
column -t -s "$(printf '\t')" "$steps" 2> /dev/null || cat "$steps"
exit "$failed"
