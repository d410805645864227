"""embed_items: every available item through the item tower.

Items are gathered in fixed blocks of dense ids, each encoded by one thread in one call, so
that the bits of a vector depend on the catalogue and the model but not on how many executors
there are. Files are in dense-id order, which lets build_index read a range of ids at a time.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F

from jobs.index.encoding import TEXT_COLUMNS, ItemEncoder, encode_blocks, open_encoder
from jobs.index.measures import measure_embeddings
from jobs.index.parts import model_day
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main
from schemas import EMBEDDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def eligible_items(items: DataFrame) -> DataFrame:
    """The items that are searched: those available."""
    return items.where("available")


def embed(items: DataFrame, opener: Callable[[], ItemEncoder], block: int, tasks: int) -> DataFrame:
    """Rows of `embeddings` for rows of `items`, in dense-id order within and across `tasks` partitions.

    `opener` is called in the Python workers and gives the encoder.
    """

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return encode_blocks(batches, opener, block)

    columns = items.select("dense_id", "object_id", *TEXT_COLUMNS)
    blocks = columns.repartitionByRange(tasks, F.floor(F.col("dense_id") / F.lit(block)))
    return blocks.sortWithinPartitions("dense_id").mapInArrow(encode, EMBEDDINGS.spark_schema())


def task_count(rows: int, block: int, rows_per_file: int, cores: int) -> int:
    """Partitions: enough for the cores and for the file size, never more than there are full blocks."""
    return max(1, min(math.ceil(rows / block), max(cores, math.ceil(rows / rows_per_file))))


def model_dimension(model_folder: Path) -> int:
    """D, the length of a vector, from `model.json`. Raises InputError where it is not there."""
    path = model_folder / "model.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["dimension"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no 'dimension' to be read ({type(error).__name__})") from None


def run(context: JobContext) -> None:
    """Encodes the available items of the day with the newest model up to the day."""
    settings, trained = context.config.embed, model_day(context)
    model = context.manifest("model", trained)
    items = context.manifest("items")
    dimension = model_dimension(context.folder("model", trained))
    eligible = eligible_items(context.read("items"))
    rows = eligible.count()
    if not rows and not context.allow_empty:
        raise Blocked(f"items dt={context.dt}: none of {items.rows} items is available; expected at least one")
    tasks = task_count(rows, settings.block, settings.rows_per_file, context.spark.sparkContext.defaultParallelism)
    opener = partial(open_encoder, str(context.folder("model", trained)))
    context.write(
        "embeddings",
        embed(eligible, opener, settings.block, tasks),
        facts={
            "dimension": dimension, "block": settings.block, "model": model.content_hash,
            "items": items.content_hash, "numbering": items.facts.get("numbering"),
        },
        measure=lambda written: measure_embeddings(written, eligible, dimension, context.config.seed),
        # Bits of floats do not repeat: neither a dictionary nor compression gains anything.
        options={"parquet.enable.dictionary": "false", "compression": "none"},
    )
    metrics = context.outputs["embeddings", context.dt].metrics
    context.notes["effective rank"] = f"{metrics.get('effective_rank', 0):.1f} of {dimension}"


JOB = Job(
    "embed_items", reads=("items", "model"), writes=("embeddings",), run=run,
    doc="One unit vector per available item, in fixed blocks of dense ids.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
