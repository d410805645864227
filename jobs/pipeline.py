"""The eleven jobs in order, and how a span of them runs in one process with one Spark session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.session import start_session
from jobs.runtime.snapshots import Entry

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JOB_NAMES = (
    "simulate_market",
    "ingest_logs",
    "ingest_items",
    "label_impressions",
    "build_vocabulary",
    "build_tuples",
    "train_model",
    "embed_items",
    "build_index",
    "evaluate_retrieval",
    "publish_release",
)
SIDE_JOBS = ("ingest_judgments", "ingest_jdsearch")
"""Jobs of their own, run one at a time: no part of the chain."""

FIRST_OF_A_SHOP = "ingest_logs"
"""Where a run begins by default: only the demo makes its own logs."""


def load_job(name: str) -> Job:
    """The job of that name, imported only now. Raises ConfigError for an unknown name."""
    if name not in (*JOB_NAMES, *SIDE_JOBS):
        raise ConfigError(f"job {name!r}: expected one of {', '.join((*JOB_NAMES, *SIDE_JOBS))}")
    return import_module(f"jobs.{name}").JOB


def span(first: str, last: str) -> tuple[str, ...]:
    """The names from `first` to `last`, both included. Raises ConfigError where there are none."""
    for name in (first, last):
        if name not in JOB_NAMES:
            raise ConfigError(f"job {name!r}: expected one of {', '.join(JOB_NAMES)}")
    start, end = JOB_NAMES.index(first), JOB_NAMES.index(last)
    if start > end:
        raise ConfigError(f"--from {first} --to {last}: {first} comes after {last}")
    return JOB_NAMES[start : end + 1]


def run_span(
    names: Sequence[str], config: Config, day: date, *, entry: Entry | None = None, allow_empty: bool = False, chain: str = ""
) -> list[JobContext]:
    """Runs the jobs one after the other; each reads the entry that the one before committed.

    A rival's commit in between is therefore never mixed in: it fences us (exit 4) where it
    replaced something we read.
    """
    @cache
    def session() -> SparkSession:
        return start_session(config, "run")

    done: list[JobContext] = []
    for name in names:
        context = run_job(load_job(name), config, day, session, entry=entry, allow_empty=allow_empty, chain=chain)
        entry = context.committed or context.entry
        done.append(context)
    return done
