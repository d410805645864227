"""build_index: an inverted-file index over the embeddings, one shard per Spark task, read back before it is published.

The coarse quantizer and the codec are trained on a sample by row hash, in the driver where the lists are few, by Spark tasks
where they are many (jobs/index/training.py); executors fill copies of the empty index from the Parquet files; then every id is
counted and a sample is searched both exactly and by the index.

While the model stays, the index of the day before takes in what changed: shards of what is new, tombstones for what is dead
(docs/INDEX.md). It is read back in the same way, and where it has drifted too far, or is damaged, all is built anew.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss

from jobs.index.auto import codec_of, largest_codec, refuse_codec
from jobs.index.building import Trained, build_shards
from jobs.index.drift import Drift, drifts, furthest, watched
from jobs.index.gathering import gather_all, plan_slices, with_shards
from jobs.index.growing import BuildAnew, find_base, grow, link_files, merge, refuse
from jobs.index.parts import model_day
from jobs.index.plan import ShardTask, estimate_memory, fit_lists, plan_shards, read_row_groups, refuse_too_large
from jobs.index.recall import figures_of
from jobs.index.row_files import BadTraining
from jobs.index.training import recipe_of, train_quantizer
from jobs.index.tuning import PLOT, TABLE, said, tune
from jobs.index.vectors import hash_sample
from jobs.index.verifying import count_ids, inspect_index
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext
from jobs.runtime.logs import log
from jobs.runtime.main import main
from jobs.runtime.manifest import Manifest
from mmse_model.ann import codec_error, list_distance, read_index
from mmse_model.index_files import TRAINED, IndexCard, Shard

MEASURED = 10_000
"""Vectors, by hash, on which the quantizer's and the codec's errors are measured."""


@dataclass(frozen=True)
class Plan:
    """What will be built: vectors of which embeddings, in how many lists, by which tasks, in which codec (or `auto`)."""

    embeddings: Manifest
    dimension: int
    lists: int
    tasks: tuple[ShardTask, ...]
    codec: str


@dataclass(frozen=True)
class Verified:
    """What reading an index back gives: metrics for the audit, figures for the card."""

    metrics: dict[str, float]
    figures: dict[str, Any]


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
    refuse_codec(settings, dimension)
    groups = read_row_groups(context.folder("embeddings"), embeddings.files)
    if not groups:
        raise Blocked(f"embeddings dt={context.dt}: 0 vectors; expected at least one")
    tasks = plan_shards(groups, settings.shards, settings.rows_per_shard)
    lists = fit_lists(settings.lists, embeddings.rows)
    memory = estimate_memory(tasks, settings, lists, dimension, embeddings.rows, largest_codec(settings, dimension))
    log("index planned", lists=lists, shards=len(tasks), driver_mib=round(memory.driver), task_mib=round(memory.task))
    refuse_too_large(memory, settings.memory_mib)
    if lists < settings.lists:
        context.notes["lists"] = f"{lists} of {settings.lists} asked for"
    return Plan(embeddings, dimension, lists, tuple(tasks), settings.codec)


def train(context: JobContext, plan: Plan, folder: Path) -> Trained:
    """Writes the empty index for the executors, trained on a sample by row hash, and where its lists are many the assigner.

    Raises Blocked that names a bad vector of the sample.
    """
    scratch, settings = folder / "_training", context.config.index
    scratch.mkdir()
    recipe = recipe_of(settings, context.config.seed, plan.embeddings.rows, plan.dimension, plan.lists, scratch)
    try:
        return train_quantizer(context.spark, plan.tasks, recipe, plan.codec, folder)
    except BadTraining as error:
        raise Blocked(str(error)) from None
    finally:
        shutil.rmtree(scratch)


def fill_shards(context: JobContext, plan: Plan, folder: Path, trained: Trained) -> tuple[Shard, ...]:
    """One Spark task per shard. Raises Blocked with the first fault that a task reports."""
    built = build_shards(context.spark, plan.tasks, folder, plan.dimension, trained)
    faults = [b.fault for b in built if b.fault]
    if faults:
        raise Blocked(faults[0])
    return tuple(b.shard for b in built if b.shard)


def describe(context: JobContext, plan: Plan, trained: Trained, shards: tuple[Shard, ...]) -> IndexCard:
    """The card, still without the figures that reading the shards back will give."""
    facts = plan.embeddings.facts
    return IndexCard(
        codec=plan.codec, dimension=plan.dimension, lists=plan.lists, probes=1,
        vectors=sum(s.rows for s in shards), shards=shards, trained_sha256=trained.sha256,
        training_digest=trained.digest, model=facts["model"], embeddings=plan.embeddings.content_hash,
        items=facts["items"], numbering=facts["numbering"], faiss=faiss.__version__, assigner_sha256=trained.assigner_sha256,
    )


def build_full(context: JobContext, plan: Plan, folder: Path) -> IndexCard:
    """Trains and fills; the card says so, still without the figures that reading the shards back will give."""
    plan = replace(plan, codec=codec_of(context, plan.tasks, plan.embeddings.rows, plan.dimension))
    trained = train(context, plan, folder)
    if context.config.index.layout == "items":
        return describe(context, plan, trained, fill_shards(context, plan, folder, trained))
    return by_lists(context, plan, folder, trained)


def by_lists(context: JobContext, plan: Plan, folder: Path, trained: Trained) -> IndexCard:
    """Shards of items first, and out of these shards of lists."""
    source = folder / "_items"
    source.mkdir()
    link_files(folder, source, [path.name for path in folder.glob("*.faiss")])
    card = describe(context, plan, trained, fill_shards(context, plan, source, trained))
    slices = plan_slices(context.spark, context.config.index, card, source, plan.tasks)
    gathered = gather_all(context.spark, slices, source, folder, card)
    refuse([one.fault for one in gathered if one.fault])
    shutil.rmtree(source)
    return with_shards(card, gathered)


def build_grown(context: JobContext, plan: Plan, folder: Path) -> IndexCard:
    """The index before with what changed since; merged where it has as many deltas as it may. Raises BuildAnew."""
    base = find_base(context, plan.embeddings)
    if len(base.card.deltas) < context.config.index.delta.max_deltas:
        return grow(context, base, plan.embeddings, folder)
    source = folder / "_merging"
    source.mkdir()
    card = merge(context, grow(context, base, plan.embeddings, source), plan.tasks, source, folder)
    shutil.rmtree(source)
    return card


def tuned(context: JobContext, plan: Plan, folder: Path, card: IndexCard) -> IndexCard:
    """The card with how the index is to be searched, found by trying; what was tried lies beside it."""
    card, found = tune(context, plan.tasks, folder, card)
    found.write(folder)
    return card


def verify(context: JobContext, plan: Plan, folder: Path, card: IndexCard) -> Verified:
    """Reads the shards back: metrics for the audit, figures for the card. Raises Blocked that names a damaged shard."""
    frame, queries, seed = context.read("embeddings"), context.config.index.verify_queries, context.config.seed
    own, sample = hash_sample(frame, card.vectors, queries, plan.dimension, seed, "verify index")
    findings = inspect_index(context.spark, plan.tasks, folder, card, sample)
    if findings.faults:
        raise Blocked(findings.faults[0])
    _, measured = hash_sample(frame, card.vectors, MEASURED, plan.dimension, seed, "measure index")
    index = read_index(folder / TRAINED)
    errors = {"codec_mean_squared_error": codec_error(index, measured), "list_distance": list_distance(index, measured)}
    metrics, figures = figures_of(findings, own, errors)
    ids = count_ids(context.spark, folder, card, frame)
    return Verified({**metrics, **ids, "vectors": float(card.vectors), "drift": 0.0}, figures)


def verify_grown(context: JobContext, plan: Plan, folder: Path, card: IndexCard) -> tuple[Verified, Drift]:
    """The same of an index that has grown, and how far it has drifted. Raises BuildAnew where it may not be served."""
    try:
        found = verify(context, plan, folder, card)
    except Blocked as error:
        raise BuildAnew(str(error)) from None
    wrong = {name: count for name, count in found.metrics.items() if name.startswith("ids_") and count}
    if wrong:
        raise BuildAnew(f"the index of the day before and what changed do not give today's items: {wrong}")
    drift = furthest(drifts(card.trained_figures, watched(found.figures), context.config.index.delta))
    if drift.share > 1:
        raise BuildAnew(drift.sentence())
    found.metrics["drift"] = round(drift.share, 6)
    return found, drift


def build(context: JobContext, plan: Plan, folder: Path) -> tuple[IndexCard, Verified]:
    """Grows the index before where it can, else builds all anew and says why; the card is whole."""
    try:
        card = tuned(context, plan, folder, build_grown(context, plan, folder))
        found, drift = verify_grown(context, plan, folder, card)
        delta = card.deltas[-1] if card.deltas else None
        context.notes["delta" if delta else "merged"] = (
            f"{len(card.deltas)} (added {delta.added:,} changed {delta.changed:,} removed {delta.removed:,})" if delta
            else f"{len(card.shards)} shards"
        )
        context.notes["drift"] = f"{drift.share:.2f} ({drift.figure})"
        return replace(card, figures=found.figures), found
    except BuildAnew as reason:
        log("built anew", reason=str(reason))
        context.notes["built anew"] = str(reason)
    clear(folder)
    card = tuned(context, plan, folder, build_full(context, plan, folder))
    found = verify(context, plan, folder, card)
    whole = replace(card, figures=found.figures, trained_vectors=card.vectors, trained_figures=watched(found.figures))
    return whole, found


def clear(folder: Path) -> None:
    """Takes away what an attempt has left."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def run(context: JobContext) -> None:
    """Plans, builds, reads back and writes the card."""
    plan = plan_build(context)
    facts: dict[str, Any] = {}
    metrics: dict[str, float] = {}

    def fill(folder: Path) -> None:
        card, found = build(context, plan, folder)
        card.write(folder)
        tuning = json.loads((folder / TABLE).read_text())
        metrics.update(found.metrics, recall_below_target=round(max(0.0, tuning["target"] - tuning["chosen"]["unseen"]), 6))
        facts.update(
            rows=card.vectors, model=card.model, embeddings=card.embeddings, numbering=card.numbering, codec=card.codec,
            lists=card.lists, probes=card.probes, shards=len(list(card.every_shard())), deltas=len(card.deltas),
            churned=card.churned, drift=found.metrics["drift"], tuning=tuning, **found.figures,
        )

    context.write_files("index", fill, facts=facts, metrics=metrics, volatile=(TABLE, PLOT))
    context.notes.update(said(facts["tuning"]))
    context.notes["recall@10 vs exact"] = f"{metrics['recall_at_10_vs_exact']:.3f}"


JOB = Job(
    "build_index", reads=("embeddings", "model", "index", "requests"), writes=("index",), run=run,
    doc="IVF shards built on executors, or what changed beside those of the day before; verified id by id.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
