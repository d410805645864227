"""One day's changes as files beside an index that is there: a shard of what is new, tombstones for what is dead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.index.building import describe_shard, read_assigner, read_range, refuse_other_training
from jobs.index.comparing import DeltaTask, compare
from jobs.index.plan import ShardTask
from mmse_model.ann import add_vectors, one_thread, read_index, write_index
from mmse_model.index_files import TRAINED, Shard, Tombstones, write_tombstones


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
