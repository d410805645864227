"""What profile and audit cost inside a job: processor seconds of all processes, rows and bytes that Spark's stages read."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from benchmarks.machine import Jvm
from jobs.runtime import store
from jobs.runtime.job import JobContext


@dataclass(frozen=True)
class Reading:
    """Totals so far, or what was spent between two of them."""

    cpu_seconds: float = 0.0
    records: int = 0
    read_bytes: int = 0

    def __add__(self, other: Reading) -> Reading:
        return Reading(
            self.cpu_seconds + other.cpu_seconds, self.records + other.records, self.read_bytes + other.read_bytes
        )

    def __sub__(self, other: Reading) -> Reading:
        return self + Reading(-other.cpu_seconds, -other.records, -other.read_bytes)


class Meter:
    """Of one Spark session: the JVM, its Python workers and this process."""

    def __init__(self, spark: Any) -> None:
        self.jvm, self._context = Jvm(spark), spark.sparkContext._jsc.sc()
        self._nothing = spark.sparkContext._gateway.new_array(spark._jvm.double, 0)

    def read(self) -> Reading:
        """Totals so far; every stage that has ended is counted."""
        self._context.listenerBus().waitUntilEmpty()
        stages = self._context.statusStore().stageList(None, False, False, self._nothing, None)
        ended = [stages.apply(n) for n in range(stages.size())]
        return Reading(
            self.jvm.cpu_seconds_with_workers() + time.process_time(),
            sum(s.inputRecords() for s in ended), sum(s.inputBytes() for s in ended),
        )


class Watched:
    """Reads the meter when the files of a dataset lie there, and when they have been profiled."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._patches = meter, ExitStack()
        self._written: Reading = meter.read()
        self._spent: dict[str, Reading] = {}
        self._profiled: Reading = self._written

    def __enter__(self) -> Watched:
        write, profile = store.write_rows_by_day, JobContext.write_days
        self._patches.enter_context(patch.object(store, "write_rows_by_day", self._after_writing(write)))
        self._patches.enter_context(patch.object(JobContext, "write_days", self._after_profiling(profile)))
        return self

    def __exit__(self, *raised: Any) -> None:
        self._patches.close()

    def spent(self, dataset: str) -> Reading:
        """By the profile of one dataset, file digests and manifests included."""
        return self._spent[dataset]

    def checked(self, ended: Reading) -> Reading:
        """By all profiles, and from the last of them to the end of the job: audit and commit."""
        return sum(self._spent.values(), Reading()) + (ended - self._profiled)

    def _after_writing(self, write: Callable[..., None]) -> Callable[..., None]:
        def watched(*arguments: Any, **named: Any) -> None:
            write(*arguments, **named)
            self._written = self._meter.read()

        return watched

    def _after_profiling(self, profile: Callable[..., Any]) -> Callable[..., Any]:
        def watched(context: JobContext, dataset: str, *arguments: Any, **named: Any) -> Any:
            manifests = profile(context, dataset, *arguments, **named)
            self._profiled = self._meter.read()
            self._spent[dataset] = self._profiled - self._written
            return manifests

        return watched
