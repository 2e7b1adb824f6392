"""What a benchmark ran on, and how its times are summed up: `pyiseg.benchmark.machine`, by a short name."""

from pyiseg.benchmark.machine import check_output, describe, median_p95, write_json

__all__ = ["check_output", "describe", "median_p95", "write_json"]
