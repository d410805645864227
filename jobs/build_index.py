"""build_index: an inverted-file index over the embeddings, one shard per Spark task, read back before it is published.

The driver trains the coarse quantizer and the codec on a hash sample and writes the empty index;
executors fill copies of it from the Parquet files; then every id is counted and a sample is
searched both exactly and by the index.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import faiss

from jobs.index.building import BadVectors, build_shard, refuse_faulty
from jobs.index.parts import model_day
from jobs.index.plan import ShardTask, estimate_memory, fit_lists, plan_shards, read_row_groups, refuse_too_large
from jobs.index.recall import figures_of
from jobs.index.vectors import hash_sample
from jobs.index.verifying import count_ids, inspect_index
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext
from jobs.runtime.logs import log
from jobs.runtime.main import main
from jobs.runtime.manifest import Manifest
from mmse_model.ann import codec_error, train_index, training_digest, write_index
from mmse_model.index_files import TRAINED, IndexCard, Shard, file_digest


@dataclass(frozen=True)
class Plan:
    """What will be built: vectors of which embeddings, in how many lists, by which tasks."""

    embeddings: Manifest
    dimension: int
    lists: int
    tasks: tuple[ShardTask, ...]


@dataclass(frozen=True)
class Trained:
    """What training leaves behind: digests of the file and of the parameters, the codec's mean squared error."""

    sha256: str
    digest: str
    error: float


def plan_build(context: JobContext) -> Plan:
    """Reads footers and decides; refuses embeddings of another model and a build that is too large."""
    settings = context.config.index
    embeddings, model = context.manifest("embeddings"), context.manifest("model", model_day(context))
    made_with, dimension = embeddings.facts["model"], int(embeddings.facts["dimension"])
    if made_with != model.content_hash:
        raise InputError(
            f"embeddings dt={context.dt}: made with model {made_with[:12]}..., published is "
            f"{model.content_hash[:12]}...; run embed_items again"
        )
    groups = read_row_groups(context.folder("embeddings"), embeddings.files)
    if not groups:
        raise Blocked(f"embeddings dt={context.dt}: 0 vectors; expected at least one")
    tasks = plan_shards(groups, settings.shards, settings.rows_per_shard)
    lists = fit_lists(settings.lists, embeddings.rows)
    memory = estimate_memory(tasks, settings, lists, dimension, embeddings.rows)
    log("index planned", lists=lists, shards=len(tasks), driver_mib=round(memory.driver), task_mib=round(memory.task))
    refuse_too_large(memory, settings.memory_mib)
    if lists < settings.lists:
        context.notes["lists"] = f"{lists} of {settings.lists} asked for"
    return Plan(embeddings, dimension, lists, tuple(tasks))


def train(context: JobContext, plan: Plan, folder: Path) -> Trained:
    """Trains quantizer and codec on a hash sample and writes the empty index for the executors.

    Raises Blocked that names a bad vector of the sample.
    """
    settings, seed, rows = context.config.index, context.config.seed, plan.embeddings.rows
    wanted = min(rows, settings.train_per_list * plan.lists)
    ids, sample = hash_sample(context.read("embeddings"), rows, wanted, plan.dimension, seed, "train index")
    try:
        refuse_faulty(f"embeddings dt={context.dt} (training sample)", ids, sample)
    except BadVectors as error:
        raise Blocked(str(error)) from None
    index = train_index(sample, plan.lists, settings.codec, seed)
    write_index(index, folder / TRAINED)
    return Trained(file_digest(folder / TRAINED), training_digest(index), codec_error(index, sample[:10_000]))


def fill_shards(context: JobContext, plan: Plan, folder: Path, trained: Trained) -> tuple[Shard, ...]:
    """One Spark task per shard. Raises Blocked with the first fault that a task reports."""
    fill = partial(build_shard, folder=str(folder), dimension=plan.dimension, trained_sha256=trained.sha256)
    built = context.spark.sparkContext.parallelize(plan.tasks, len(plan.tasks)).map(fill).collect()
    faults = [b.fault for b in built if b.fault]
    if faults:
        raise Blocked(faults[0])
    return tuple(b.shard for b in built if b.shard)


def describe(context: JobContext, plan: Plan, trained: Trained, shards: tuple[Shard, ...]) -> IndexCard:
    """The card, still without the figures that reading the shards back will give."""
    settings, facts = context.config.index, plan.embeddings.facts
    return IndexCard(
        codec=settings.codec, dimension=plan.dimension, lists=plan.lists, probes=min(settings.probes, plan.lists),
        vectors=sum(s.rows for s in shards), shards=shards, trained_sha256=trained.sha256,
        training_digest=trained.digest, model=facts["model"], embeddings=plan.embeddings.content_hash,
        items=facts["items"], numbering=facts["numbering"], faiss=faiss.__version__,
    )


def verify(
    context: JobContext, plan: Plan, folder: Path, card: IndexCard, error: float
) -> tuple[dict[str, float], dict[str, Any]]:
    """Reads the shards back: metrics for the audit, figures for the card. Raises Blocked that names a damaged shard.

    `error` is the codec's mean squared error.
    """
    frame, queries = context.read("embeddings"), context.config.index.verify_queries
    own, sample = hash_sample(frame, card.vectors, queries, plan.dimension, context.config.seed, "verify index")
    findings = inspect_index(context.spark, plan.tasks, folder, card, sample)
    if findings.faults:
        raise Blocked(findings.faults[0])
    metrics, figures = figures_of(findings, own, error)
    ids = count_ids(context.spark, folder, card, frame)
    return {**metrics, **ids, "vectors": float(card.vectors)}, figures


def run(context: JobContext) -> None:
    """Plans, trains, fills the shards, reads them back and writes the card."""
    plan = plan_build(context)
    facts: dict[str, Any] = {}
    metrics: dict[str, float] = {}

    def fill(folder: Path) -> None:
        trained = train(context, plan, folder)
        card = describe(context, plan, trained, fill_shards(context, plan, folder, trained))
        measured, figures = verify(context, plan, folder, card, trained.error)
        replace(card, figures=figures).write(folder)
        metrics.update(measured)
        facts.update(
            rows=card.vectors, model=card.model, embeddings=card.embeddings, numbering=card.numbering,
            codec=card.codec, lists=card.lists, probes=card.probes, shards=len(card.shards), **figures,
        )

    context.write_files("index", fill, facts=facts, metrics=metrics)
    context.notes["recall@10 vs exact"] = f"{metrics['recall_at_10_vs_exact']:.3f}"


JOB = Job(
    "build_index", reads=("embeddings", "model"), writes=("index",), run=run,
    doc="IVF shards built on executors, verified id by id.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
