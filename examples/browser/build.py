"""Put the page and all that it loads into a folder that any static web server can serve.

Two things must be installed: a C++ compiler for WebAssembly, and onnxruntime-web (`npm install` in this folder).

    pip install ziglang==0.17.1           # Clang with all that it needs for wasm32-wasi, or any other: see --compiler
    npm install --prefix examples/browser
    python examples/browser/build.py
"""

from __future__ import annotations

import argparse
import gzip
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = HERE.parents[1] / "pyiseg" / "models" / "default"
ZIG = f"{shlex.quote(sys.executable)} -m ziglang c++ -mcpu=generic+simd128"
# Nothing is fused or reordered, as in CMakeLists.txt, so that results are the library's, bit for bit.
FLAGS = (
    "-target wasm32-wasi -std=c++17 -O3 -ffp-contract=off -fno-trapping-math -fno-exceptions -fno-rtti "
    "-mexec-model=reactor -s -Wall -Werror"
)
# Of onnxruntime-web only what its WebAssembly backend loads.
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def compile_ops(compiler: str, out: Path) -> None:
    """Compile the ops to a WebAssembly module that imports nothing."""
    command = [*shlex.split(compiler), *shlex.split(FLAGS), str(HERE / "ops.cpp"), "-o", str(out)]
    subprocess.run(command, check=True)


def build(out: Path, compiler: str, model: Path) -> None:
    """Fill the folder."""
    runtime = HERE / "node_modules" / "onnxruntime-web" / "dist"
    if not runtime.is_dir():
        sys.exit(f"{runtime} is missing: run `npm install` in {HERE}")
    for folder in (out / "model", out / "ort"):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("index.html", "page.mjs", "worker.mjs", "pyiseg.mjs", "ops.mjs", "geometry.mjs"):
        shutil.copy(HERE / name, out)
    for name in ("model.json", "image.onnx", "click.onnx"):
        shutil.copy(model / name, out / "model")
    for name in RUNTIME:
        shutil.copy(runtime / name, out / "ort")
    compile_ops(compiler, out / "ops.wasm")


def main() -> None:
    """Build, and print what a visitor downloads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "dist", help="the folder (default: dist beside this file)")
    parser.add_argument("--model", type=Path, default=MODEL, help="a model folder with the color guided filter")
    parser.add_argument(
        "--compiler",
        default=ZIG,
        help="a Clang for wasm32-wasi with -msimd128, such as Debian's 'clang++ -msimd128' with wasi-libc, lld, "
        "libc++-14-dev-wasm32 and libclang-rt-14-dev-wasm32 (default: %(default)s)",
    )
    args = parser.parse_args()
    build(args.out, args.compiler, args.model)
    files = sorted(path for path in args.out.rglob("*") if path.is_file())
    for path in files:
        content, name = path.read_bytes(), path.relative_to(args.out)
        print(f"{len(content) / 1e6:7.3f} MB, {len(gzip.compress(content)) / 1e6:7.3f} gzipped  {name}")


if __name__ == "__main__":
    main()
