"""Small published snapshots for tests: what a job reads is written by a job, audit and commit included."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.index.vectors import pack_vectors
from jobs.runtime.config import Config
from jobs.runtime.job import Job, JobContext, run_job
from schemas import EMBEDDINGS, ITEMS

DAY = date(2026, 1, 8)
DIMENSION = 16


def config_in(folder: Path, **sections: dict[str, Any]) -> Config:
    """A configuration whose paths lie in `folder`."""
    paths = {"raw": str(folder / "raw"), "warehouse": str(folder / "warehouse"), "reports": str(folder / "reports")}
    return Config.model_validate({"paths": paths, **sections})


def publish(
    spark: Any, config: Config, writes: tuple[str, ...], write: Callable[[JobContext], None],
    reads: tuple[str, ...] = (), day: date = DAY,
) -> JobContext:
    """Runs `write` as a job that may write those datasets, and commits."""
    return run_job(Job("given", reads=reads, writes=writes, run=write), config, day, lambda: spark)


def publish_model(spark: Any, config: Config, seed: int = 0) -> str:
    """A model of DIMENSION with nothing in it but its card; returns its content hash."""
    def fill(folder: Path) -> None:
        (folder / "model.json").write_text(json.dumps({"dimension": DIMENSION, "seed": seed}))

    metrics = {"parameters_not_finite": 0.0, "validation_recall": 0.5, "last_loss": 1.0}
    context = publish(spark, config, ("model",), lambda c: c.write_files("model", fill, metrics=metrics) and None)
    return context.outputs["model", context.dt].content_hash


def publish_encoder(spark: Any, config: Config, seed: int = 3) -> str:
    """A real model of DIMENSION, untrained, with a vocabulary of six words; returns its content hash."""
    import torch

    from mmse_model.encoder import save_model
    from mmse_model.grains import Grains
    from mmse_model.towers import TwoTower

    grains = Grains.build({"word": ["usb", "cable", "0", "1", "2", "3"]}, config.grains)
    torch.manual_seed(seed)
    model = TwoTower(grains.layout, config.model)
    metrics = {"parameters_not_finite": 0.0, "validation_recall": 0.5, "last_loss": 1.0}
    context = publish(spark, config, ("model",), lambda c: c.write_files(
        "model", lambda folder: save_model(folder, model, grains, config.stages), metrics=metrics) and None)
    return context.outputs["model", context.dt].content_hash


def unit_vectors(rows: int, seed: int = 0, centres: int = 8) -> np.ndarray:
    """float32 (rows, DIMENSION) of unit norm around some centres."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(centres, DIMENSION))[draw.integers(0, centres, rows)]
    vectors = vectors + 0.7 * draw.normal(size=(rows, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def embedding_rows(ids: np.ndarray, vectors: np.ndarray, inputs: Mapping[int, int] | None = None) -> pa.Table:
    """Rows of `embeddings`, object id `o<dense id>`; equal vectors have equal inputs, where `inputs` by id says nothing else."""
    names = pa.array([f"o{number}" for number in ids.tolist()])
    hashes = [inputs[n] for n in ids.tolist()] if inputs else [zlib.crc32(vector.tobytes()) for vector in vectors]
    columns = [pa.array(ids, pa.int64()), names, pack_vectors(vectors), pa.array(hashes, pa.int64())]
    return pa.Table.from_arrays(columns, schema=EMBEDDINGS.arrow_schema())


def publish_embeddings(
    spark: Any, config: Config, ids: np.ndarray, vectors: np.ndarray, model: str, files: int = 2, day: date = DAY,
    inputs: Mapping[int, int] | None = None, block: int = 1_024,
) -> JobContext:
    """Embeddings in dense-id order in so many files; the figures of the audit are as they should be.

    They come from the model published on DAY, whatever their own `day`.
    """
    facts = {"dimension": DIMENSION, "block": block, "model": model, "items": "0" * 64, "numbering": "1"}
    good = {
        "missing_items": 0.0, "unknown_items": 0.0, "not_finite": 0.0, "norm_off_one": 0.0, "carried_over_off": 0.0,
        "mean_pairwise_cosine": 0.1, "effective_rank": 8.0, "equal_vectors_share": 0.0,
    }

    def write(context: JobContext) -> None:
        frame = spark.createDataFrame(embedding_rows(ids, vectors, inputs)).repartitionByRange(files, "dense_id")
        context.manifest("model", DAY.isoformat())
        context.write("embeddings", frame.sortWithinPartitions("dense_id"), facts=facts, metrics=good)

    return publish(spark, config, ("embeddings",), write, reads=("model",), day=day)


def item_rows(rows: int) -> list[tuple[Any, ...]]:
    """Rows of `items` with dense ids from 0; every seventh is not available."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [
        (f"o{n}", n, "en", f"usb cable {n}", "Acme" if n % 2 else None, "Cables > USB", f"shop {n % 3}",
         None if n % 5 == 0 else n / 10, n % 7 != 6, start, None)
        for n in range(rows)
    ]


def publish_items(
    spark: Any, config: Config, rows: int, day: date = DAY, change: Callable[[tuple[Any, ...]], tuple[Any, ...]] = lambda row: row
) -> JobContext:
    """A catalogue of `item_rows`, each as `change` leaves it."""
    frame = spark.createDataFrame([change(row) for row in item_rows(rows)], ITEMS.spark_schema())
    return publish(spark, config, ("items",), lambda c: c.write("items", frame, facts={"numbering": "1"}) and None, day=day)
