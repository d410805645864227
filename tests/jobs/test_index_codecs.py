"""Every codec through the job itself: built, grown, merged and searched on real Spark and FAISS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.runtime.config import Config
from jobs.runtime.errors import ConfigError
from jobs.runtime.job import JobContext
from mmse_model.codecs import CODECS
from mmse_model.index_files import IndexCard
from tests.jobs import published
from tests.jobs.grown_index import Items, build, built_again, churned, folder_of, found, metrics_of, nearest, started
from tests.jobs.published import unit_vectors

DIMENSION, QUERIES = 64, 40
LEAST = {"flat": 1.0, "sq8": 0.95, "rabitq4": 0.85, "pq64x4fs+sq8": 0.93}
"""Recall@10 where every list is probed: what is lost is the codec's alone."""

SEEN_ELSEWHERE = {"flat", "sq8"}
"""Grown and merged by quick tests: flat codes in test_index_delta, 8-bit ones in test_index_training."""
TRIED = [pytest.param(codec, marks=[pytest.mark.slow] * (codec in SEEN_ELSEWHERE)) for codec in sorted(CODECS)]


@pytest.fixture(scope="module", params=TRIED)
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def days(codec: str, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Items, JobContext]]:
    """600 items, then twice a day of 5 % taken, changed and new: a delta, and then all merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "DIMENSION", DIMENSION)
        patch.setattr("tests.jobs.grown_index.POOL", unit_vectors(1_000))
        config = started(spark, tmp_path_factory.mktemp("codec"), codec=codec, refine=16, delta={"max_deltas": 1, "max_churn": 0.5})
        items, made = dict(zip((np.arange(600) * 3 + 5).tolist(), unit_vectors(1_000))), []
        for number in (1, 2):
            items = churned(items, number, unit_vectors(1_000)[600 + 60 * number :][:60])
            made.append((items, build(spark, config, items, number)))
    return made


def queries() -> np.ndarray:
    vectors = np.random.default_rng(7).normal(size=(QUERIES, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_delta_and_a_merged_index_find_what_comparing_with_every_item_finds(
    codec: str, days: list[tuple[Items, JobContext]]
) -> None:
    assert [context.outputs["index", context.dt].facts["deltas"] for _, context in days] == [1, 0]
    for items, context in days:
        hits, best = found(folder_of(context), queries(), 10), nearest(items, queries(), 10)
        assert np.mean([np.isin(row, true).mean() for row, true in zip(hits, best)]) >= LEAST[codec]
        assert np.isin(hits, sorted(items)).all()
        metrics = metrics_of(context)
        assert (metrics["ids_missing"], metrics["ids_duplicated"], metrics["ids_unknown"]) == (0, 0, 0)
        assert metrics["self_recall_at_1"] == 1 and metrics["recall_at_10_vs_exact"] >= LEAST[codec]


def test_merging_copies_codes_to_the_bytes_that_a_build_with_the_same_quantizer_writes(
    days: list[tuple[Items, JobContext]], tmp_path: Path
) -> None:
    context = days[1][1]
    card = IndexCard.read(folder_of(context))
    assert card.shards == built_again(context, tmp_path)


def test_a_dimension_that_the_codec_cannot_hold_is_refused_before_any_work(spark: Any, tmp_path: Path) -> None:
    """Vectors of 16 dimensions, and 64 sub-quantizers."""
    with pytest.raises(ConfigError, match="pq64x4fs.sq8: vectors have 16 dimensions; expected a multiple of 64"):
        started(spark, tmp_path, codec="pq64x4fs+sq8")


def test_an_unknown_codec_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="flat"):
        Config.model_validate({"index": {"codec": "opq"}})
