"""`index.codec: auto`: the codec with the fewest bytes that still ranks the nearest items right, measured on today's vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jobs.index.building import read_range
from jobs.index.choosing import REFINES
from jobs.index.plan import ShardTask, fit_lists
from jobs.index.recall import recalls, without_own
from jobs.index.trying import exact_nearest
from jobs.index.tuning import ask
from jobs.index.vectors import hash_sample
from jobs.runtime.errors import ConfigError
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.job import JobContext
from jobs.runtime.logs import say
from mmse_model.ann import add_vectors, one_thread, train_index
from mmse_model.codecs import CODECS, check_dimension, code_bytes
from mmse_model.shards import OpenShard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ASKED, SAMPLED, RANKED = 200, 20_000, 100
"""Queries of a trial, vectors by hash that codecs are trained on, and how many of the nearest are ranked at most (20 MiB)."""


@dataclass(frozen=True)
class Trial:
    """What a codec gave: bytes of a code, and recall@k where every list is searched, that is, what the codec alone loses."""

    codec: str
    code_bytes: int
    recall: float


def allowed_codecs(settings: IndexSettings, dimension: int) -> list[str]:
    """Codecs that `auto` may choose, fewest bytes first. Empty where none has as few as `index.max_code_bytes`."""
    fits = [c for c in CODECS if check_dimension(c, dimension) is None]
    most = settings.max_code_bytes
    small = [c for c in fits if most is None or code_bytes(c, dimension) <= most]
    return sorted(small, key=lambda c: code_bytes(c, dimension))


def refuse_codec(settings: IndexSettings, dimension: int) -> None:
    """Raises ConfigError where vectors of that dimension cannot have the codec, or `auto` has none to choose from."""
    if fault := check_dimension(settings.codec, dimension):
        raise ConfigError(fault)
    if settings.codec == "auto" and not allowed_codecs(settings, dimension):
        least = min(code_bytes(codec, dimension) for codec in CODECS if check_dimension(codec, dimension) is None)
        raise ConfigError(
            f"index.max_code_bytes = {settings.max_code_bytes}: expected at least {least}, the fewest for {dimension} dimensions"
        )


def codec_of(context: JobContext, tasks: Sequence[ShardTask], rows: int, dimension: int) -> str:
    """`index.codec`, or what `auto` stands for today; the trial is printed."""
    settings, seed = context.config.index, context.config.seed
    if settings.codec != "auto":
        return settings.codec
    asked = ask(context, rows, dimension, ASKED)
    _, sample = hash_sample(context.read("embeddings"), rows, SAMPLED, dimension, seed, "try codecs")
    trials = try_codecs(context.spark, tasks, asked.vectors, asked.own, sample, settings, seed)
    codec, enough = best_codec(trials, settings.tuning.recall)
    for line in as_lines(trials, codec, ranked_at(settings)):
        say(line)
    context.notes["codec"] = codec if enough else f"{codec}, none of those allowed loses less"
    return codec


def ranked_at(settings: IndexSettings) -> int:
    """k of a trial: that of the tuning, but no more than the driver has room for."""
    return min(settings.tuning.k, RANKED)


def largest_codec(settings: IndexSettings, dimension: int) -> str:
    """What a build must have room for: the codec, or of `auto` the largest that it may choose."""
    return settings.codec if settings.codec != "auto" else (allowed_codecs(settings, dimension) or ["flat"])[-1]


def try_codecs(
    spark: SparkSession, tasks: Sequence[ShardTask], queries: np.ndarray, own: np.ndarray, sample: np.ndarray,
    settings: IndexSettings, seed: int,
) -> list[Trial]:
    """Each codec that may be chosen, trained on a `sample` (n, D), on the true nearest of `queries` (Q, D) among all vectors.

    How dense the neighbourhood of a query is decides what a codec confuses, and a sample is not as dense as the catalogue. At
    most Q * 2 (k + 1) vectors come to the driver.
    """
    k = ranked_at(settings)
    truth = exact_nearest(spark, tasks, queries, 2 * (k + 1))
    near = np.unique(truth[1][truth[1] >= 0])
    read = partial(_read, wanted=near, dimension=queries.shape[1])
    found = spark.sparkContext.parallelize(tasks, len(tasks)).map(read).collect()
    ids, vectors = (np.concatenate(parts) for parts in zip(*found))
    best, trials = without_own(truth, own), []
    for codec in allowed_codecs(settings, queries.shape[1]):
        hits = ranked(codec, ids, vectors, sample, queries, k + 1, fit_lists(settings.lists, len(sample)), seed)
        recall = float(recalls(without_own(hits, own), best, k).mean())
        trials.append(Trial(codec, code_bytes(codec, queries.shape[1]), round(recall, 6)))
    return trials


def _read(task: ShardTask, wanted: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    mine = wanted[(wanted >= task.first) & (wanted < task.end)]
    parts = list(read_range(task, dimension, mine)) if len(mine) else []
    empty = np.empty(0, dtype=np.int64), np.empty((0, dimension), dtype=np.float32)
    ids, vectors = (np.concatenate(columns) for columns in zip(empty, *parts))
    return ids, vectors


def ranked(
    codec: str, ids: np.ndarray, vectors: np.ndarray, sample: np.ndarray, queries: np.ndarray, depth: int, lists: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `depth` nearest of `queries` among `vectors` (n, D) with ascending `ids`, every list searched."""
    with one_thread():
        index = train_index(sample, lists, codec, seed)
        add_vectors(index, None, vectors, ids)
        opened = OpenShard.of(index)
        coarse, found = opened.probe(queries, lists)
        return opened.search(queries, depth, found, coarse, refine=max(REFINES))


def best_codec(trials: Sequence[Trial], target: float) -> tuple[str, bool]:
    """The fewest bytes with which the codec loses at most half of what the target lets be lost; the lists lose the rest.

    Where none does, the one that loses least, and False.
    """
    enough = [t for t in trials if t.recall >= 1 - (1 - target) / 2]
    if enough:
        return min(enough, key=lambda t: (t.code_bytes, t.codec)).codec, True
    return min(trials, key=lambda t: (-t.recall, t.code_bytes, t.codec)).codec, False


def as_lines(trials: Sequence[Trial], chosen: str, k: int) -> Iterator[str]:
    """Lines for people, one a codec."""
    yield f"{'codec':>14} {'bytes':>6} {f'recall@{k}':>11}  every list searched"
    for trial in trials:
        yield f"{trial.codec:>14} {trial.code_bytes:>6} {trial.recall:>11.4f}{'  <' if trial.codec == chosen else ''}"


__all__ = ["Trial", "allowed_codecs", "as_lines", "best_codec", "codec_of", "largest_codec", "ranked", "refuse_codec"]
