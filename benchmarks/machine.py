"""What this machine has, and what a JVM has taken of it, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def machine() -> dict[str, float]:
    """Cores and memory."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cores": os.cpu_count() or 0, "gib": round(pages / 2**30, 1)}


class Jvm:
    """The JVM of a local Spark session."""

    def __init__(self, spark: Any) -> None:
        pid = spark._jvm.java.lang.ProcessHandle.current().pid()
        self.folder = Path(f"/proc/{pid}")

    def peak_mib(self) -> float:
        """The most memory that was resident since the process began: heap, code, stacks and buffers (VmHWM)."""
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024)
        raise OSError(f"{self.folder}/status: no VmHWM")

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
