"""The cheapest search that finds enough, chosen on some queries of the shop, checked on others; the table is kept with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.index.choosing import REFINES, Row, Setting, around, as_table, choose, cost_of, next_probes
from jobs.index.pareto import pareto_svg
from jobs.index.parts import model_day
from jobs.index.plan import ShardTask
from jobs.index.recall import mean_and_interval, recalls, without_own
from jobs.index.trying import Tried, exact_nearest, try_settings
from jobs.index.vectors import hash_sample
from jobs.index.verifying import Hits
from jobs.runtime.index_section import TuningSettings
from jobs.runtime.job import JobContext
from jobs.runtime.logs import say
from mmse_model.codecs import CODECS
from mmse_model.index_files import IndexCard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE, PLOT = "search.json", "search.svg"
"""Files of the index folder: they hold times, so that they stay out of its content hash."""
HELD = 64 << 20
"""Bytes of hits that a task of the tuning holds."""
FEWEST = 100
"""Queries of the day: where there are fewer, items stand in for them."""
CHECKS = 5
"""One of so many queries checks, the others choose: on 2,000 a recall of .97 is known to a standard error of .0018, about
what one list of ten is worth; checking only has to notice a choice that is off by a point."""


@dataclass(frozen=True)
class Asked:
    """Queries (Q, D) to search for, every fifth to check, the others to choose by; `own` (Q,): the item that it is, or -1."""

    vectors: np.ndarray
    own: np.ndarray
    source: str


def ask(context: JobContext, rows: int, dimension: int, wanted: int) -> Asked:
    """Distinct queries of the newest day with requests, by hash, through the query tower; items' vectors where there are few."""
    seed = context.config.seed
    days = [day for day in context.entry.days("requests") if day <= context.dt]
    texts = query_texts(context, days[-1], wanted) if days else []
    if len(texts) >= FEWEST:
        from mmse_model.encoder import Encoder

        vectors = Encoder.open(context.folder("model", model_day(context)), threads=1, fixed=True).encode_queries(texts)
        return Asked(np.ascontiguousarray(vectors, dtype=np.float32), np.full(len(texts), -1), f"queries of {days[-1]}")
    own, vectors = hash_sample(context.read("embeddings"), rows, wanted, dimension, seed, "tune index")
    return Asked(vectors, own, "items")


def query_texts(context: JobContext, day: str, wanted: int) -> list[str]:
    """At most `wanted` different normalised queries of a day, in the order of a hash."""
    from pyspark.sql import functions as F

    texts = context.read("requests", day).where("query_norm != ''").select("query_norm").distinct()
    hashed = texts.orderBy(F.xxhash64(F.lit(context.config.seed), F.lit("tune index"), "query_norm"), "query_norm")
    return [row.query_norm for row in hashed.limit(wanted).collect()]


@dataclass(frozen=True)
class Tuned:
    """The settings tried, the one taken, and whether it reaches the target."""

    rows: tuple[Row, ...]
    chosen: Row
    reached: bool
    source: str
    queries: int
    target: float
    k: int

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "target": self.target, "k": self.k, "queries": self.queries, "source": self.source, "reached": self.reached,
            "chosen": self.chosen.as_json(), "rows": [row.as_json() for row in self.rows],
        }

    def write(self, folder: Path) -> None:
        """The table and the plot of recall against queries per second and the slowest queries."""
        (folder / TABLE).write_text(json.dumps(self.facts(), indent=1, sort_keys=True), encoding="utf-8")
        (folder / PLOT).write_text(pareto_svg(self.rows, self.chosen, self.target, self.k), encoding="utf-8")


def said(facts: Mapping[str, Any]) -> dict[str, str]:
    """What the summary line says of `Tuned.facts`."""
    chosen, missed = facts["chosen"], "" if facts["reached"] else f", under the target of {facts['target']}"
    return {f"recall@{facts['k']} of {facts['source']}": f"{chosen['unseen']:.3f} ({chosen['probes']} lists{missed})"}


def tune(context: JobContext, tasks: Sequence[ShardTask], folder: Path, card: IndexCard) -> tuple[IndexCard, Tuned]:
    """The card with the settings that are to be searched with, and what was tried. What is given in the settings stays."""
    settings = context.config.index
    asked = ask(context, card.vectors, card.dimension, asked_for(settings.tuning.queries))
    found = tune_on(context.spark, tasks, folder, card, asked, settings.tuning, probes=settings.probes, refine=settings.refine)
    for line in as_table(found.rows, found.chosen, found.k):
        say(line)
    return replace(card, probes=found.chosen.probes, refine=found.chosen.refine), found


def tune_on(
    spark: SparkSession, tasks: Sequence[ShardTask], folder: Path, card: IndexCard, asked: Asked, wanted: TuningSettings,
    probes: int | None = None, refine: int | None = None,
) -> Tuned:
    """Tries settings in rounds until the cheapest is known; `probes` and `refine`, where given, are not varied."""
    k, enough = wanted.k, wanted.recall - wanted.tolerance
    truth = without_own(exact_nearest(spark, tasks, asked.vectors, 2 * (k + 1)), asked.own)
    refines = [refine] if refine else list(REFINES if CODECS[card.codec].refined else (1,))
    rows: list[Row] = []
    narrowed = len(refines) == 1  # else what is cheapest may lie beyond the fewest lists that are enough
    todo = [min(probes, card.lists)] if probes else next_probes([], [], card.lists)
    while todo:
        settings = [Setting(p, r) for p in todo for r in refines]
        for part in in_parts(settings, len(asked.own), k):
            tried = try_settings(spark, folder, card, asked.vectors, part, k + 1)
            rows += rows_of(tried, part, truth, asked, k, len(list(card.every_shard())))
        good = sorted({row.probes for row in rows if row.recall >= enough})
        counts = sorted({row.probes for row in rows})
        todo = [] if probes else next_probes(counts, good, card.lists, 1 if len(refines) == 1 else 4)
        if not todo and not probes and not narrowed:
            todo, narrowed = around(counts, choose(rows, enough)[0].probes), True
    chosen, reached = choose(rows, enough)
    return Tuned(tuple(rows), chosen, reached, asked.source, len(asked.own), wanted.recall, k)


def in_parts(settings: Sequence[Setting], queries: int, k: int) -> list[Sequence[Setting]]:
    """As many settings at once as give a task HELD bytes of hits, 12 each, or one."""
    most = max(1, HELD // (12 * queries * (k + 1)))
    return [settings[low : low + most] for low in range(0, len(settings), most)]


def asked_for(choosing: int) -> int:
    """Queries of which `choosing` choose and the others check."""
    return choosing + choosing // (CHECKS - 1)


def split(each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of values (Q,), those of the queries that choose and those of the queries that check: all, where Q is under CHECKS."""
    checks = np.arange(len(each)) % CHECKS == CHECKS - 1
    return (each[~checks], each[checks]) if checks.any() else (each, each)


def rows_of(tried: Tried, settings: Sequence[Setting], truth: Hits, asked: Asked, k: int, shards: int) -> list[Row]:
    """A row for each setting."""
    rows, queries = [], len(asked.own)
    for n, setting in enumerate(settings):
        each = recalls(without_own(tried.hits[n], asked.own), truth, k)
        chooses, checks = map(mean_and_interval, split(each))
        scanned, alone = float(tried.scanned[n]) / queries, 1_000 * tried.alone[n]
        rows.append(Row(
            setting.probes, setting.refine, chooses["mean"], chooses["low"], chooses["high"], checks["mean"], round(scanned, 1),
            round(cost_of(scanned, setting, k, shards), 1), round(queries / max(float(tried.seconds[n]), 1e-9), 1),
            round(float(np.median(alone)), 3), round(float(np.quantile(alone, 0.99)), 3),
        ))
    return rows


__all__ = ["PLOT", "TABLE", "Asked", "Tuned", "ask", "asked_for", "said", "split", "tune", "tune_on"]
