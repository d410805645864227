"""One shard, built by one Spark task that reads the embeddings' files itself.

Vectors never pass through the JVM: carrying them costs more than adding them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.index.measures import faulty_rows
from jobs.index.plan import BATCH, RowGroup, ShardTask
from jobs.index.vectors import unpack_vectors
from mmse_model.ann import add_vectors, among, ids_digest, one_thread, read_index, write_index
from mmse_model.index_files import ASSIGNER, TRAINED, Shard, file_digest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


READ = 1 << 20
"""Bytes of a file that are read at a time: a column chunk read at once costs three times as much, most of it for fresh pages."""


class BadVectors(ValueError):
    """Embeddings that cannot be indexed; one sentence."""


@dataclass(frozen=True)
class Trained:
    """What training leaves behind: digests of the file, of the parameters, and of the assigner's file, if there is one."""

    sha256: str
    digest: str
    assigner_sha256: str | None


@dataclass(frozen=True)
class Built:
    """What a task hands to the driver: the shard, or the sentence that says why there is none."""

    shard: Shard | None
    fault: str | None = None


def read_range(
    task: ShardTask, dimension: int, wanted: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Dense ids int64 (n,) and vectors float32 (n, D) of a task's range, ascending, in batches of fixed size.

    The size does not follow the row groups, so that a shard's bits do not depend on them. Only the ascending ids `wanted`
    (m,), where given; row groups without one are not opened.
    Raises BadVectors where ids do not ascend or a vector is not finite or not of unit norm.
    """
    ids, vectors = np.empty(0, dtype=np.int64), np.empty((0, dimension), dtype=np.float32)
    for new_ids, new_vectors in _read_row_groups(task, dimension, wanted):
        if len(ids):
            new_ids, new_vectors = np.concatenate([ids, new_ids]), np.concatenate([vectors, new_vectors])
        ids, vectors = new_ids, new_vectors
        while len(ids) >= BATCH:
            yield ids[:BATCH], vectors[:BATCH]
            ids, vectors = ids[BATCH:], vectors[BATCH:]
    if len(ids):
        yield ids, vectors


def _read_row_groups(
    task: ShardTask, dimension: int, wanted: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    def holds(group: RowGroup) -> bool:
        return wanted is None or bool(np.diff(np.searchsorted(wanted, [group.first, group.last + 1]))[0])

    for path, ids, packed in read_batches(filter(holds, task.row_groups)):
        mine = (ids >= task.first) & (ids < task.end)
        mine &= True if wanted is None else among(ids, wanted)
        if mine.any():
            if not mine.all():  # else no copy
                ids, packed = ids[mine], packed.filter(pa.array(mine))
            vectors = unpack_vectors(packed, dimension)
            refuse_faulty(path, ids, vectors)
            yield ids, vectors


def read_batches(groups: Iterable[RowGroup]) -> Iterator[tuple[str, np.ndarray, pa.Array]]:
    """Path, dense ids int64 (n,), packed vectors: BATCH rows or fewer at a time. Raises BadVectors where ids do not ascend."""
    last = -1
    for group in groups:
        with pq.ParquetFile(group.path, buffer_size=READ) as file:
            for batch in file.iter_batches(BATCH, row_groups=[group.number], columns=["dense_id", "vector"]):
                ids = batch.column("dense_id").to_numpy()
                if (np.diff(ids, prepend=last) <= 0).any():
                    raise BadVectors(f"{group.path}: dense ids do not ascend; run embed_items again")
                last = ids[-1]
                yield group.path, ids, batch.column("vector")


def refuse_faulty(where: str, ids: np.ndarray, vectors: np.ndarray) -> None:
    """Raises BadVectors that says where, how many and which first, unless all are finite and of unit norm."""
    finite, off = faulty_rows(vectors)
    for wrong, what in ((~finite, "are not finite"), (off, "have a norm outside 1 +- 1e-3")):
        if wrong.any():
            raise BadVectors(f"{where}: {int(wrong.sum())} vectors {what}, the first of dense id {ids[wrong][0]}")


def build_shards(
    spark: SparkSession, tasks: Sequence[ShardTask], folder: Path, dimension: int, trained: Trained
) -> list[Built]:
    """One Spark task for each shard."""
    build = partial(
        build_shard, folder=str(folder), dimension=dimension, trained_sha256=trained.sha256,
        assigner_sha256=trained.assigner_sha256,
    )
    return spark.sparkContext.parallelize(tasks, len(tasks)).map(build).collect()


def build_shard(
    task: ShardTask, folder: str, dimension: int, trained_sha256: str, assigner_sha256: str | None = None
) -> Built:
    """Fills a copy of the trained index with a task's vectors and writes it into the run's folder."""
    path = Path(folder) / task.file_name
    ids = [np.empty(0, dtype=np.int64)]
    try:
        refuse_other_training(Path(folder), trained_sha256, assigner_sha256)
        refuse_damaged(task.row_groups)
        with one_thread():
            index = read_index(path.with_name(TRAINED))
            assigner = read_assigner(Path(folder), assigner_sha256)
            for batch_ids, vectors in read_range(task, dimension):
                add_vectors(index, assigner, vectors, batch_ids)
                ids.append(batch_ids)
            write_index(index, path)
    except (ValueError, OSError) as error:
        return Built(None, str(error))
    return Built(describe_shard(path, task.first, task.end, np.concatenate(ids)))


def refuse_other_training(folder: Path, trained_sha256: str, assigner_sha256: str | None) -> None:
    """Raises ValueError where the trained index or its assigner is not the file that the driver, or the card, names."""
    for name, sha256 in ((TRAINED, trained_sha256), (ASSIGNER, assigner_sha256)):
        if sha256 and file_digest(folder / name) != sha256:
            raise ValueError(f"{folder / name}: not the file that the driver put there; executors must see the same disk")


def read_assigner(folder: Path, sha256: str | None) -> Any | None:
    """What finds a vector's list in place of the quantizer, or None where the index has nothing of the kind."""
    return read_index(folder / ASSIGNER) if sha256 else None


def refuse_damaged(groups: Iterable[RowGroup]) -> None:
    """Raises BadVectors that names an altered file.

    Parquet readers take a flipped bit of an uncompressed column for data; the manifest's digest does not.
    """
    for path, sha256 in sorted({(g.path, g.sha256) for g in groups}):
        if file_digest(Path(path)) != sha256:
            raise BadVectors(f"{path}: altered since it was published (its SHA-256 differs from the manifest)")


def describe_shard(path: Path, first: int, end: int, ids: np.ndarray) -> Shard:
    """What the card says of a written shard of [first, end) that was given these ids."""
    return Shard(
        path=path.name, first=first, end=end, rows=len(ids), bytes=path.stat().st_size,
        sha256=file_digest(path), ids_sha256=ids_digest(ids),
    )
