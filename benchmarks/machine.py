"""What this machine has, and what a process has taken of it, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.memory import tree


def machine() -> dict[str, float]:
    """Cores and memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cores": os.cpu_count() or 0, "gib": round(pages / 2**30, 1)}


def status_mib(pid: int | str, field: str) -> float:
    """A figure of a process in MiB: VmRSS is resident now, VmHWM the most that ever was."""
    path = Path(f"/proc/{pid}/status")
    for line in path.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024)
    raise OSError(f"{path}: no {field}")


class Jvm:
    """The JVM of a local Spark session."""

    def __init__(self, spark: Any) -> None:
        self.pid: int = spark._jvm.java.lang.ProcessHandle.current().pid()

    def peak_mib(self) -> float:
        """The most memory that was resident since the process began: heap, code, stacks and buffers (VmHWM)."""
        return status_mib(self.pid, "VmHWM")

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        return sum(_ticks(self.pid)[:2]) / os.sysconf("SC_CLK_TCK")

    def cpu_seconds_with_workers(self) -> float:
        """The same with the Python workers that it started, those included that have ended."""
        return sum(sum(_ticks(pid)) for pid in tree(self.pid)) / os.sysconf("SC_CLK_TCK")

    def worker_peak_mib(self) -> float:
        """The most memory that any Python worker which is still there ever had resident (VmHWM); 0 without one."""
        return max((_peak_or_nothing(pid) for pid in tree(self.pid)[1:]), default=0.0)


def _peak_or_nothing(pid: int) -> float:
    """VmHWM in MiB; nothing once the process is gone."""
    try:
        return status_mib(pid, "VmHWM")
    except OSError:
        return 0.0


def _ticks(pid: int) -> tuple[int, ...]:
    """Processor time of a process in ticks: user, system, and both of the children it waited for; nothing once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ()
    return tuple(int(field) for field in fields[11:15])
