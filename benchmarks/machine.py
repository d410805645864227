"""What this machine has, and what a process has taken of it, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def machine() -> dict[str, float]:
    """Cores and memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cores": os.cpu_count() or 0, "gib": round(pages / 2**30, 1)}


def peak_mib(process: Path = Path("/proc/self")) -> float:
    """The most memory of a process that was resident at once since it began (VmHWM)."""
    for line in (process / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024)
    raise OSError(f"{process}/status: no VmHWM")


class Jvm:
    """The JVM of a local Spark session."""

    def __init__(self, spark: Any) -> None:
        pid = spark._jvm.java.lang.ProcessHandle.current().pid()
        self.folder = Path(f"/proc/{pid}")

    def peak_mib(self) -> float:
        """The most memory that was resident since the process began: heap, code, stacks and buffers."""
        return peak_mib(self.folder)

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
