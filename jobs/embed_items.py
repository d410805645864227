"""embed_items: a vector for every available item; only items that changed go through the tower while the model stays.

What the tower reads of an item is hashed and stored beside its vector. An item whose hash is that of the newest
earlier run of the same model keeps the vector of that run; every other one is encoded. The tower is always called for
the same number of items by one thread, so that the bits of a vector depend on its item and the model alone: what is
carried over is bit for bit what a full run would give. Files are in dense-id order, which lets build_index
read a range of ids at a time.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from jobs.index.carrying import COUNTED, changes, newest_of_model, off_the_tower
from jobs.index.earlier import EarlierVectors
from jobs.index.encoding import TEXT_COLUMNS, ItemEncoder, encode_changed, inputs_hash, open_encoder, text_hash
from jobs.index.measures import measure_embeddings
from jobs.index.neighbours import KEPT, neighbours_kept
from jobs.index.parts import model_day
from jobs.index.plan import RowGroup, read_row_groups
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main
from mmse_model.grains import Grains
from schemas import EMBEDDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def eligible_items(items: DataFrame) -> DataFrame:
    """The items that are searched: those available."""
    return items.where("available")


def embed(
    items: DataFrame, opener: Callable[[], ItemEncoder], dimension: int, tasks: int, earlier: Sequence[RowGroup] = ()
) -> DataFrame:
    """Rows of `embeddings` for rows of `items` with their `inputs`, in dense-id order within and across `tasks` partitions.

    `opener` is called in the Python workers and gives the encoder, D = `dimension`; `earlier` are the row groups of a
    run whose vectors are carried over where the inputs are the same.
    """

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return encode_changed(batches, opener, dimension, EarlierVectors(earlier, dimension))

    columns = items.select("dense_id", "object_id", "inputs", *TEXT_COLUMNS)
    ranges = columns.repartitionByRange(tasks, "dense_id").sortWithinPartitions("dense_id")
    return ranges.mapInArrow(encode, EMBEDDINGS.spark_schema())


def task_count(rows: int, block: int, rows_per_file: int, cores: int) -> int:
    """Partitions: enough for the cores and for the file size, never more than there are full calls of the tower."""
    return max(1, min(math.ceil(rows / block), max(cores, math.ceil(rows / rows_per_file))))


def model_dimension(model_folder: Path) -> int:
    """D, the length of a vector, from `model.json`. Raises InputError where it is not there."""
    path = model_folder / "model.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["dimension"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no 'dimension' to be read ({type(error).__name__})") from None


def price_buckets(model_folder: Path) -> int:
    """How many buckets of prices the model tells apart. Raises InputError where its vocabulary cannot be read."""
    from mmse_model.encoder import VOCABULARY

    try:
        return Grains.load(model_folder / VOCABULARY).settings.attribute.price_buckets
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from None


def run(context: JobContext) -> None:
    """A vector of the newest model up to the day for every item that is available on it."""
    settings, trained = context.config.embed, model_day(context)
    model, items = context.manifest("model", trained), context.manifest("items")
    folder = context.folder("model", trained)
    dimension = model_dimension(folder)
    buckets, available = price_buckets(folder), eligible_items(context.read("items"))
    eligible = available.withColumns({"inputs": inputs_hash(buckets), "texts": text_hash(buckets)})
    rows = eligible.count()
    if not rows and not context.allow_empty:
        raise Blocked(f"items dt={context.dt}: none of {items.rows} items is available; expected at least one")
    tasks = task_count(rows, settings.block, settings.rows_per_file, context.spark.sparkContext.defaultParallelism)
    opener = partial(open_encoder, str(folder), settings.block)
    before = newest_of_model(context, model.content_hash, settings.block) if settings.carry_over else None
    earlier = read_row_groups(context.folder("embeddings", before.dt), before.files) if before else ()

    def again(wanted: Sequence[int]) -> DataFrame:
        return embed(eligible.where(F.col("dense_id").isin(*wanted)), opener, dimension, tasks=1)

    def measure(written: DataFrame) -> dict[str, float]:
        counted = changes(written, context.read("embeddings", before.dt) if before else None)
        off = off_the_tower(written, again, dimension, context.config.seed) if counted["carried_over"] else 0
        figures = measure_embeddings(written, eligible, dimension, context.config.seed)
        kept = neighbours_kept(context, written, rows, dimension, model.content_hash)
        return {**figures, **counted, **kept, "carried_over_off": float(off)}

    metrics = context.write(
        "embeddings", embed(eligible, opener, dimension, tasks, earlier),
        facts={
            "dimension": dimension, "block": settings.block, "model": model.content_hash,
            "items": items.content_hash, "numbering": items.facts.get("numbering"),
        },
        measure=measure,
        # Bits of floats do not repeat: neither a dictionary nor compression gains anything.
        options={"parquet.enable.dictionary": "false", "compression": "none"},
    ).metrics
    context.notes.update({name.replace("_", " "): f"{metrics[name]:,.0f}" for name in COUNTED})
    context.notes.update({name.replace("_", " "): f"{metrics[name]:.2f}" for name in KEPT if name in metrics})
    context.notes["effective rank"] = f"{metrics.get('effective_rank', 0):.1f} of {dimension}"


JOB = Job(
    "embed_items", reads=("items", "model", "embeddings"), writes=("embeddings",), run=run,
    doc="One unit vector per available item; only what changed goes through the tower.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
