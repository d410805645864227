"""One day's changes as files beside an index that is there: a shard of what is new, tombstones for what is dead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobs.index.building import describe_shard, read_assigner, read_range, refuse_other_training
from jobs.index.comparing import DeltaTask, compare
from jobs.index.plan import ShardTask
from mmse_model.ann import add_entries, add_vectors, among, list_entries, map_index, one_thread, read_index, write_index
from mmse_model.codecs import inverted, refinement
from mmse_model.index_files import TRAINED, IndexCard, Shard, Tombstones, dead_ids, shard_fault, write_tombstones
from mmse_model.shards import OpenShard


@dataclass(frozen=True)
class Grown:
    """What a task hands to the driver: its files (None where it had nothing to write), or the sentence that says why not."""

    shard: Shard | None = None
    tombstones: Tombstones | None = None
    fault: str | None = None


def build_delta(
    task: DeltaTask, folder: str, number: int, dimension: int, trained_sha256: str, assigner_sha256: str | None = None
) -> Grown:
    """Writes the shard and the tombstones of delta `number` for a task's ranges into the run's folder."""
    root = Path(folder)
    try:
        refuse_other_training(root, trained_sha256, assigner_sha256)
        found = [compare(pair) for pair in task.pairs]
        dead = np.sort(np.concatenate([ids for changes in found for ids in (changes.changed, changes.removed)]))
        new = np.sort(np.concatenate([ids for changes in found for ids in (changes.added, changes.changed)]))
        path = root / f"delta-{number:03d}-{task.number:05d}.faiss"
        shard = _fill(task, path, new, dimension, assigner_sha256) if len(new) else None
        name = f"tombstones-{number:03d}-{task.number:05d}.ids"
        return Grown(shard, write_tombstones(root, name, task.first, task.end, dead) if len(dead) else None)
    except (ValueError, OSError) as error:
        return Grown(fault=str(error))


def _fill(task: DeltaTask, path: Path, new: np.ndarray, dimension: int, assigner_sha256: str | None) -> Shard:
    """A copy of the trained index with the vectors of the ids `new`."""
    groups = tuple(dict.fromkeys(group for pair in task.pairs for group in pair.now))
    with one_thread():
        index = read_index(path.with_name(TRAINED))
        assigner = read_assigner(path.parent, assigner_sha256)
        for ids, vectors in read_range(ShardTask(task.number, task.first, task.end, groups), dimension, new):
            add_vectors(index, assigner, vectors, ids)
        write_index(index, path)
    return describe_shard(path, task.first, task.end, new)


def merge_shards(task: ShardTask, source: str, folder: str, card: IndexCard) -> Grown:
    """The live vectors of a range, out of every generation in `source`, as one shard of `folder`.

    It is what a build with this quantizer would write: codes are copied, list by list, in the order of their ids.
    """
    root, path = Path(source), Path(folder) / task.file_name
    try:
        refuse_other_training(root, card.trained_sha256, card.assigner_sha256)
        parts = []
        for generation, shard in card.every_shard():
            if shard.first < task.end and shard.end > task.first:
                if fault := shard_fault(root, shard):
                    raise ValueError(fault)
                dead = dead_ids(card, root, generation, task.first, task.end)
                parts.append(Part(OpenShard.of(map_index(root / shard.path)), dead))
        index = read_index(root / TRAINED)
        ids = _merge_lists(index, task, parts)
        write_index(index, path)
    except (ValueError, OSError, RuntimeError) as error:
        return Grown(fault=str(error))
    return Grown(describe_shard(path, task.first, task.end, ids))


@dataclass(frozen=True)
class Part:
    """A shard out of which live vectors are taken, and the ascending ids that are dead in it."""

    shard: OpenShard
    dead: np.ndarray


def _merge_lists(index: Any, task: ShardTask, parts: list[Part]) -> np.ndarray:
    """Fills `index`, list by list, with what lives in `parts`; returns the ids in ascending order."""
    ivf = inverted(index)
    found = [_merge_list(ivf, number, task, parts) for number in range(ivf.nlist)]
    ids, origins = (np.concatenate(columns) for columns in zip(*found))
    order = np.argsort(ids)
    ids, origins, exact = ids[order], origins[order], refinement(index)
    if exact is not None:
        codes = np.empty((len(ids), exact.code_size), dtype=np.uint8)
        for number, part in enumerate(parts):
            codes[origins == number] = part.shard.exact_codes(ids[origins == number])
        exact.add_sa_codes(codes)
    index.ntotal = ivf.ntotal
    return ids


def _merge_list(ivf: Any, number: int, task: ShardTask, parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Appends one list's live entries; returns their ids and of which part each is."""
    found = []
    for origin, part in enumerate(parts):
        ids, codes = list_entries(part.shard.ivf, number)
        live = (ids >= task.first) & (ids < task.end) & ~among(ids, part.dead)
        found.append((ids[live], codes[live], np.full(int(live.sum()), origin)))
    ids, codes, origins = (np.concatenate(columns) for columns in zip(*found))
    order = np.argsort(ids, kind="stable")
    add_entries(ivf, number, ids[order], codes[order])
    return ids, origins
