"""What one run cost inside Spark, from the session's own status stores: bytes shuffled and spilled, and the dearest queries."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

ENTRY = re.compile(r"Scan parquet[^\n]*\n(Output[^\n]*)\n(?:Batched[^\n]*\n)?(Location: [^\n]*)")
WRITTEN = re.compile(r"InsertIntoHadoopFsRelationCommand\s*\n(?:Input[^\n]*\n)?(Arguments: [^,\n]*)")
DATASET = re.compile(r"/(\w+)/dt=[^/]*/run=|/_staging-[^/]+/(\w+)")


@dataclass(frozen=True)
class Query:
    """One SQL execution: what it wrote or was called, seconds from submission to completion, seconds of its tasks, its scans."""

    name: str
    seconds: float
    task_seconds: float
    shuffle_bytes: int
    scans: dict[str, int]
    """Dataset or scratch folder -> how often it is scanned."""


@dataclass(frozen=True)
class Cost:
    """The stages of one run together, and its queries."""

    shuffle_bytes: int
    memory_spill_bytes: int
    disk_spill_bytes: int
    queries: tuple[Query, ...]

    def scans(self) -> dict[str, int]:
        """Dataset or scratch folder -> scans over all queries."""
        return dict(sum((Counter(q.scans) for q in self.queries), Counter()))


@dataclass(frozen=True)
class Stage:
    """One stage: how many tasks it had; processor seconds and rows received of a task in the middle, and the most of any."""

    number: int
    name: str
    tasks: int
    median: float
    longest: float
    median_rows: float
    most_rows: float


class StatusStores:
    """The status stores of a live session; they are there with or without the web UI."""

    def __init__(self, spark: Any) -> None:
        self.context = spark._jsc.sc()
        self.stages, self.sql = self.context.statusStore(), spark._jsparkSession.sharedState().statusStore()
        self._gateway = spark.sparkContext._gateway
        self.mark = self._marked()

    def begin(self) -> None:
        """What comes from here on is one run."""
        self.mark = self._marked()

    def cost(self) -> Cost:
        """Everything since `begin`."""
        self.context.listenerBus().waitUntilEmpty()
        last_stage, last_query = self.mark
        stages = {s.stageId(): s for s in self._all_stages() if s.stageId() > last_stage}
        queries = [q for q in _listed(self.sql.executionsList()) if q.executionId() > last_query]
        return Cost(
            sum(s.shuffleWriteBytes() for s in stages.values()), sum(s.memoryBytesSpilled() for s in stages.values()),
            sum(s.diskBytesSpilled() for s in stages.values()), tuple(_query(q, stages) for q in queries),
        )

    def stages_run(self) -> list[Stage]:
        """The stages that have ended since `begin`, in order; those skipped for an earlier one's files are not among them."""
        self.context.listenerBus().waitUntilEmpty()
        quantiles = self._gateway.new_array(self._gateway.jvm.double, 2)
        quantiles[0], quantiles[1] = 0.5, 1.0
        ran = [s for s in self._all_stages() if s.stageId() > self.mark[0] and s.status().toString() == "COMPLETE"]
        return sorted((self._stage(s, quantiles) for s in ran), key=lambda s: s.number)

    def _stage(self, stage: Any, quantiles: Any) -> Stage:
        found = self.stages.taskSummary(stage.stageId(), stage.attemptId(), quantiles).get()
        (median, longest), rows = (
            [figures.apply(n) for n in (0, 1)] for figures in (found.executorCpuTime(), found.shuffleReadMetrics().readRecords())
        )
        return Stage(stage.stageId(), stage.name(), stage.numCompleteTasks(), median / 1e9, longest / 1e9, *rows)

    def _marked(self) -> tuple[int, int]:
        """Numbers of the last stage and the last query so far."""
        self.context.listenerBus().waitUntilEmpty()
        queries = (q.executionId() for q in _listed(self.sql.executionsList()))
        return max((s.stageId() for s in self._all_stages()), default=-1), max(queries, default=-1)

    def _all_stages(self) -> list[Any]:
        defaults = [getattr(self.stages, f"stageList$default${n}")() for n in (2, 3, 4, 5)]
        return _listed(self.stages.stageList(None, *defaults))


def _listed(found: Any) -> list[Any]:
    """A Scala sequence as a list."""
    return [found.apply(n) for n in range(found.size())]


def _query(query: Any, stages: dict[int, Any]) -> Query:
    own = [stages[n] for n in stages if query.stages().contains(n)]
    end = query.completionTime()
    seconds = (end.get().getTime() - query.submissionTime()) / 1000 if end.isDefined() else float("nan")
    plan = query.physicalPlanDescription()
    return Query(
        written_by(plan) or query.description(), seconds, sum(s.executorRunTime() for s in own) / 1000,
        sum(s.shuffleWriteBytes() for s in own), scans_of(plan),
    )


def written_by(plan: str) -> str:
    """`write NAME` of the dataset or scratch folder that a formatted plan writes; empty where it writes none."""
    found = WRITTEN.search(plan)
    name = DATASET.search(found.group(1)) if found else None
    return f"write {name.group(1) or name.group(2)}" if name else ""


def scans_of(plan: str) -> dict[str, int]:
    """Dataset or scratch folder -> its scans in a formatted plan; one that the initial and the final plan share counts once."""
    different = set(ENTRY.findall(plan))
    names = [DATASET.search(location) for _, location in different]
    return dict(Counter(m.group(1) or m.group(2) for m in names if m))


def table(queries: tuple[Query, ...], most: int = 12) -> str:
    """The dearest queries as Markdown, in the order they ran."""
    dearest = set(sorted(range(len(queries)), key=lambda n: -queries[n].seconds)[:most])
    lines = ["| query | seconds | task seconds | shuffled MiB | scans |", "|---|---:|---:|---:|---|"]
    for n, q in enumerate(queries):
        if n in dearest:
            scans = ", ".join(f"{name} x {times}" if times > 1 else name for name, times in sorted(q.scans.items()))
            shuffled = round(q.shuffle_bytes / 2**20)
            lines.append(f"| {n}: {q.name[:60]} | {q.seconds:.1f} | {q.task_seconds:.1f} | {shuffled} | {scans} |")
    return "\n".join(lines)
