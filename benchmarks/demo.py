"""Seconds and peak memory of the whole demo: python -m benchmarks.demo [--set a.b=c ...]

The last line is one JSON object: {"seconds", "peak_mib", "exit_code", "cores"}.
"""

from __future__ import annotations

import json
import os
import sys

from benchmarks.memory import run_and_watch


def main() -> int:
    """Runs `mmse demo` with the given arguments and watches it."""
    code, seconds, peak = run_and_watch([sys.executable, "-m", "jobs.cli", "demo", *sys.argv[1:]])
    print(json.dumps({
        "seconds": round(seconds, 1), "peak_mib": peak >> 20, "exit_code": code, "cores": os.cpu_count(),
    }))
    return code


if __name__ == "__main__":
    sys.exit(main())
