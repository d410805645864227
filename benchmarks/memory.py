"""Peak memory of a process and everything it started, from /proc."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def tree(pid: int) -> list[int]:
    """The process and all its descendants that are still there."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        for children in Path(f"/proc/{current}/task").glob("*/children"):
            try:
                queue += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def pss_bytes(pid: int) -> int:
    """Proportional set size in bytes: pages that forked workers share are counted once. 0 when the process is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def run_and_watch(command: list[str], every_seconds: float = 0.5) -> tuple[int, float, int]:
    """Runs a command; returns exit code, seconds, and the peak bytes of its process tree (PSS)."""
    started = time.monotonic()
    process = subprocess.Popen(command)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(pss_bytes(pid) for pid in tree(process.pid)))
        time.sleep(every_seconds)
    return process.returncode, time.monotonic() - started, peak
