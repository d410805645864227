"""Row 15: memory runs out in the middle of a job, in the heap of its driver or in the audit's own process."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from jobs.runtime.config import Config
from jobs.runtime.heap import heap_spent
from jobs.runtime.verdict import JobVerdict
from tests.failures.shop import DAY, SMALL, Shop, check_survived, finish
from tests.failures.test_killed_driver import wait_until_stopped

JOB = "ingest_logs"
GREEDY = ("spark.driver_memory=450m", 'spark.conf={spark.sql.parquet.columnarReaderBatchSize: "50000000"}')
"""Rows of Parquet that are decoded at once: a column of four bytes takes 200 MB of a heap of 450."""
MORE = 16 * 2**20
"""Bytes that the audit may take beside what the process has: Great Expectations needs some hundred MB."""


@pytest.mark.slow
def test_row_15_a_heap_that_runs_out_in_a_job_ends_it_with_the_setting_that_helps(labelled: Shop) -> None:
    said = check_survived(labelled, JOB, 1, lambda: labelled.run(JOB, more=(*SMALL, *GREEDY)))
    assert f"{JOB}: Spark ran out of memory with spark.driver_memory = 450m; give it more, or fewer cores than " in said


def with_an_audit_short_of_memory(shop: Shop) -> tuple[int, str]:
    """Stops a job before its audit, and lets it go on with hardly any address space left."""
    process = shop.start(JOB, "--fail-at", "before_audit:stop", more=SMALL)
    wait_until_stopped(process.pid)
    pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[0])
    room = pages * resource.getpagesize() + MORE
    resource.prlimit(process.pid, resource.RLIMIT_AS, (room, room))
    os.kill(process.pid, signal.SIGCONT)
    return finish(process)


@pytest.mark.slow
def test_row_15_an_audit_without_memory_blocks_and_does_not_pass(labelled: Shop) -> None:
    verdicts = []

    def injured() -> tuple[int, str]:
        ended = with_an_audit_short_of_memory(labelled)
        verdicts.append(JobVerdict.read(Path(f"{labelled.warehouse}-reports") / f"dt={DAY}" / JOB / "verdict.json"))
        return ended

    said = check_survived(labelled, JOB, 3, injured)
    assert "the audit could not be run (" in said
    assert verdicts[0].verdict == "block"
    assert "Traceback" not in said


def test_only_a_heap_that_ran_out_is_called_one() -> None:
    config = Config.model_validate({"spark": {"driver_memory": "2g"}})
    found = heap_spent(RuntimeError("Task failed ... java.lang.OutOfMemoryError: Java heap space"), config)
    assert str(found).startswith("Spark ran out of memory with spark.driver_memory = 2g; give it more, or fewer cores than spark.master")
    on_cluster = Config.model_validate({"spark": {"master": "spark://host:7077", "conf": {"spark.driver.memory": "5g"}}})
    assert "spark.driver_memory = 5g; give it more, or its executors more spark.executor.memory" in str(
        heap_spent(RuntimeError("java.lang.OutOfMemoryError: GC overhead limit exceeded"), on_cluster)
    )
    assert heap_spent(MemoryError(), config) is None
