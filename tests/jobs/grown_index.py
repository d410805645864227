"""An index from day to day, for tests: items that come, change and go, published and indexed by the real job."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from jobs.build_index import JOB
from jobs.index.building import build_shard
from jobs.index.plan import plan_shards, read_row_groups
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.manifest import Manifest
from mmse_model.index_files import TRAINED, IndexCard, Shard
from mmse_model.retriever import ShardSearcher
from tests.jobs.published import DAY, config_in, publish_embeddings, publish_model, unit_vectors

IDS = np.arange(600, dtype=np.int64) * 3 + 5
INDEX: dict[str, Any] = {"lists": 8, "probes": 8, "codec": "flat", "verify_queries": 50, "delta": {"max_deltas": 2, "max_churn": 0.5}}
Items = dict[int, np.ndarray]
"""Dense id -> vector (D,)."""


def nth(number: int) -> date:
    """The n-th day after DAY."""
    return DAY + timedelta(days=number)


POOL = unit_vectors(1_000)
"""Vectors around the same centres: 600 of the first day, then those that come."""


def first_items() -> Items:
    return dict(zip(IDS.tolist(), POOL))


def churned(items: Items, number: int, fresh: np.ndarray) -> Items:
    """The items a day later: of `fresh` (2 n, D) half are changed items' new vectors, half come beyond the last id; n go."""
    draw, count = np.random.default_rng(number), len(fresh) // 2
    picked = draw.permutation(sorted(items))[: 2 * count].tolist()
    kept = {n: vector for n, vector in items.items() if n not in picked[:count]}
    new = dict(zip(range(max(items) + 1, max(items) + 1 + count), fresh[count:]))
    return {**kept, **dict(zip(picked[count:], fresh[:count])), **new}


def build(spark: Any, config: Config, items: Items, number: int, files: int = 2) -> JobContext:
    """Publishes the items of the n-th day after DAY, of the model of DAY, and builds their index."""
    (model,) = Path(config.paths.warehouse).glob(f"model/dt={DAY}/run=*")
    ids = np.array(sorted(items), dtype=np.int64)
    content = Manifest.read(model).content_hash
    publish_embeddings(spark, config, ids, np.stack([items[n] for n in ids.tolist()]), content, files, nth(number))
    return run_job(JOB, config, nth(number), lambda: spark)


def started(spark: Any, folder: Path, **settings: Any) -> Config:
    """A warehouse with a model and the index of the first day."""
    config = config_in(folder, index={**INDEX, **settings})
    publish_model(spark, config)
    build(spark, config, first_items(), 0)
    return config


def folder_of(context: JobContext) -> Path:
    return context.warehouse / "index" / f"dt={context.dt}" / f"run={context.outputs['index', context.dt].run_id}"


def metrics_of(context: JobContext) -> dict[str, float]:
    return context.outputs["index", context.dt].metrics


def nearest(items: Items, queries: np.ndarray, k: int) -> np.ndarray:
    """Ids (Q, k) of the largest inner products, by comparing with every vector."""
    ids = np.array(sorted(items))
    scores = queries @ np.stack([items[n] for n in ids.tolist()]).T
    return ids[np.argsort(-scores, axis=1, kind="stable")[:, :k]]


def found(folder: Path, queries: np.ndarray, k: int) -> np.ndarray:
    return ShardSearcher.open(folder).search(queries, k)[1]


def built_again(context: JobContext, folder: Path) -> tuple[Shard | None, ...]:
    """Shards that a build over the embeddings of a published index writes into `folder`, with the quantizer of that index."""
    shutil.copy(folder_of(context) / TRAINED, folder / TRAINED)
    card = IndexCard.read(folder_of(context))
    embeddings = context.warehouse / "embeddings" / f"dt={context.dt}" / f"run={context.inputs['embeddings', context.dt]}"
    tasks = plan_shards(read_row_groups(embeddings, Manifest.read(embeddings).files), 2, 10**6)
    return tuple(build_shard(task, str(folder), card.dimension, card.trained_sha256).shard for task in tasks)
