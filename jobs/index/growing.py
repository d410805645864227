"""An index of an unchanged model takes in what changed since, or says why it cannot and has to be built anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import faiss

from jobs.index.comparing import DeltaTask, count_changes, plan_pairs, plan_tasks
from jobs.index.delta_shards import Grown, build_delta
from jobs.index.gathering import gather_all, plan_slices, with_shards
from jobs.index.plan import ShardTask, read_row_groups
from jobs.runtime.errors import Blocked
from jobs.runtime.index_section import IndexSettings
from jobs.runtime.job import JobContext
from jobs.runtime.manifest import Manifest
from mmse_model.index_files import ASSIGNER, TRAINED, BrokenIndex, Delta, IndexCard, file_digest, shard_fault

TRAINING = ("layout", "codec", "max_code_bytes", "lists", "train_per_list", "two_level_lists", "refine_passes", "assign_excess")
"""Settings that an index is trained and cut by."""


class BuildAnew(Exception):
    """Why the index before cannot take in what changed; one sentence."""


@dataclass(frozen=True)
class Base:
    """The index of an earlier day that will grow, and the embeddings that it holds."""

    folder: Path
    card: IndexCard
    embeddings: Manifest
    embeddings_folder: Path


def find_base(context: JobContext, embeddings: Manifest) -> Base:
    """The newest published index of an earlier day. Raises BuildAnew where it is of another model or training, or damaged."""
    days = [day for day in context.entry.days("index") if day < context.dt]
    if not days:
        raise BuildAnew("no earlier day has an index")
    day, folder = days[-1], context.folder("index", days[-1])
    manifest = Manifest.read(folder)
    if manifest.facts["model"] != embeddings.facts["model"]:
        raise BuildAnew(f"the index of {day} is of another model")
    asked = context.config.index.model_dump(mode="json")
    then = {**IndexSettings().model_dump(mode="json"), **manifest.config.get("index", {})}  # older code knew fewer settings
    for name in TRAINING:
        if asked[name] != then[name]:
            raise BuildAnew(f"index.{name} = {asked[name]}, and {then[name]} when the index of {day} was built")
    card = read_whole(folder)
    if not context.has("embeddings", day) or context.manifest("embeddings", day).content_hash != card.embeddings:
        raise BuildAnew(f"the embeddings of {day} are no longer those of its index")
    context.manifest("index", day)
    return Base(folder, card, context.manifest("embeddings", day), context.folder("embeddings", day))


def read_whole(folder: Path) -> IndexCard:
    """The card of an index whose files are there, of the size that it says. Raises BuildAnew that names what is wrong."""
    try:
        card = IndexCard.read(folder)
    except BrokenIndex as error:
        raise BuildAnew(str(error)) from None
    if not card.trained_figures:
        raise BuildAnew(f"{folder}: says nothing of its training; it was built by an earlier release")
    if card.faiss != faiss.__version__:
        raise BuildAnew(f"{folder}: built with FAISS {card.faiss}, here is {faiss.__version__}")
    for name, sha256 in training_files(card).items():
        if not (folder / name).is_file() or file_digest(folder / name) != sha256:
            raise BuildAnew(f"{folder / name}: missing, or not the file that index.json names")
    faults = (shard_fault(folder, file, hashes=False) for file in card.files())
    for fault in filter(None, faults):
        raise BuildAnew(fault)
    return card


def grow(context: JobContext, base: Base, embeddings: Manifest, folder: Path) -> IndexCard:
    """Fills `folder` with the files of `base`, by hard links, and a delta beside them; returns the card, without figures.

    Raises BuildAnew where more changed than `index.delta.max_churn` allows, Blocked where the embeddings cannot be read.
    """
    settings, card = context.config.index, base.card
    now = read_row_groups(context.folder("embeddings"), embeddings.files)
    then = read_row_groups(base.embeddings_folder, base.embeddings.files)
    pairs = plan_pairs(now, then, settings.shards, settings.rows_per_shard)
    counts = context.spark.sparkContext.parallelize(pairs, len(pairs)).map(count_changes).collect()
    refuse([count for count in counts if isinstance(count, str)])
    added, changed, removed = (sum(count[n] for count in counts) for n in range(3))
    churned = card.churned + added + changed + removed
    if churned > settings.delta.max_churn * card.trained_vectors:
        raise BuildAnew(
            f"{churned} items were added, changed or removed since {card.trained_vectors} vectors were trained on: beyond "
            f"index.delta.max_churn = {settings.delta.max_churn}"
        )
    touched = [(pair, count[0] + count[1]) for pair, count in zip(pairs, counts) if any(count)]
    tasks = plan_tasks([pair for pair, _ in touched], [rows for _, rows in touched], settings.shards, settings.rows_per_shard)
    link_files(base.folder, folder, [*training_files(card), *(file.path for file in card.files())])
    grown = fill_delta(context, tasks, folder, len(card.deltas) + 1, card)
    delta = Delta(
        embeddings.content_hash, added, changed, removed,
        tuple(g.shard for g in grown if g.shard), tuple(g.tombstones for g in grown if g.tombstones),
    )
    return renewed(context, replace(card, deltas=(*card.deltas, delta), churned=churned), embeddings)


def renewed(context: JobContext, card: IndexCard, embeddings: Manifest) -> IndexCard:
    """The card with what it says of the embeddings as they are now."""
    facts = embeddings.facts
    return replace(
        card, vectors=embeddings.rows, embeddings=embeddings.content_hash, items=facts["items"], numbering=facts["numbering"],
        figures={},
    )


def fill_delta(context: JobContext, tasks: list[DeltaTask], folder: Path, number: int, card: IndexCard) -> list[Grown]:
    """One Spark task for each; none where nothing changed. Raises Blocked with the first fault that one reports."""
    if not tasks:
        return []
    build = partial(
        build_delta, folder=str(folder), number=number, dimension=card.dimension, trained_sha256=card.trained_sha256,
        assigner_sha256=card.assigner_sha256,
    )
    grown = context.spark.sparkContext.parallelize(tasks, len(tasks)).map(build).collect()
    refuse([g.fault for g in grown if g.fault])
    return grown


def merge(context: JobContext, card: IndexCard, tasks: tuple[ShardTask, ...], source: Path, folder: Path) -> IndexCard:
    """The index that lies in `source` as shards alone, of the items of `tasks`: no delta is left, and nothing dead.

    Raises BuildAnew that names a file of `source` which is damaged.
    """
    link_files(source, folder, training_files(card))
    slices = plan_slices(context.spark, context.config.index, card, source, tasks)
    merged = gather_all(context.spark, slices, source, folder, card)
    for fault in (m.fault for m in merged if m.fault):
        raise BuildAnew(fault)
    return with_shards(card, merged)


def training_files(card: IndexCard) -> dict[str, str]:
    """Files that training has left, each with its SHA-256."""
    return {TRAINED: card.trained_sha256} | ({ASSIGNER: card.assigner_sha256} if card.assigner_sha256 else {})


def link_files(source: Path, folder: Path, names: Iterable[str]) -> None:
    """The same files under another folder's names: nothing is copied where the disk has hard links."""
    for name in names:
        try:
            os.link(source / name, folder / name)
        except OSError:
            shutil.copyfile(source / name, folder / name)


def refuse(faults: list[str]) -> None:
    """Raises Blocked with the first, if any."""
    if faults:
        raise Blocked(faults[0])
