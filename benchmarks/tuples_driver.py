"""What `build_tuples` leaves on its driver, on a real standalone cluster with two one-core workers.

`on_cluster` submits this file once for each warehouse, in client mode, in a process of its own. The submitted driver
runs the job and, before it ends, reports its heap after full collections and the memory of its Python.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

COLLECTIONS = 5
TIMEOUT = 1_800


@dataclass(frozen=True)
class DriverMemory:
    """MiB: heap in use after full collections, Python's memory at the end and at its peak; and the job's seconds."""

    heap_mib: float
    python_mib: float
    python_peak_mib: float
    seconds: float

    @property
    def mib(self) -> float:
        """Heap and Python's peak together: what was collected to Python and dropped again counts."""
        return round(self.heap_mib + self.python_peak_mib, 1)


def on_cluster(work: Path, configs: Sequence[Any], day: date) -> list[DriverMemory]:
    """The driver's memory after the job in each of the warehouses, one fresh driver after the other."""
    from benchmarks.standalone import REPOSITORY, standalone_cluster

    found = []
    with standalone_cluster(work) as cluster:
        for number, config in enumerate(configs):
            path = work / f"config{number}.json"
            path.write_text(config.model_dump_json(exclude_unset=True), encoding="utf-8")
            done = cluster.submit_script(
                Path(__file__), str(path), day.isoformat(), timeout=TIMEOUT, python_path=REPOSITORY
            )
            if done.returncode:
                said = "\n".join(line for line in done.stderr.splitlines() if " INFO " not in line)
                sys.exit(f"the submitted job failed: {said[-3000:]}")
            found.append(DriverMemory(**json.loads(done.stdout.splitlines()[-1])))
    return found


def heap_after_collection(jvm: Any) -> float:
    """MiB of heap in use: the least seen over a few full collections, since Spark lets go of some things a little later."""
    memory, used = jvm.java.lang.management.ManagementFactory.getMemoryMXBean(), []
    for _ in range(COLLECTIONS):
        jvm.java.lang.System.gc()
        time.sleep(0.5)
        used.append(memory.getHeapMemoryUsage().getUsed())
    return round(min(used) / 2**20, 1)


def submitted(path: str, day: str) -> None:
    """Runs the job as spark-submit started it; the last line is one JSON object."""
    from benchmarks.machine import status_mib
    from jobs.build_tuples import JOB
    from jobs.runtime.config import Config
    from jobs.runtime.job import run_job

    config = Config.model_validate_json(Path(path).read_text(encoding="utf-8"))
    started = time.monotonic()
    context = run_job(JOB, config, date.fromisoformat(day))
    seconds = round(time.monotonic() - started, 2)
    heap, pid = heap_after_collection(context.spark._jvm), os.getpid()
    print(json.dumps({
        "heap_mib": heap, "python_mib": status_mib(pid, "VmRSS"), "python_peak_mib": status_mib(pid, "VmHWM"), "seconds": seconds,
    }))


if __name__ == "__main__":
    submitted(*sys.argv[1:])
