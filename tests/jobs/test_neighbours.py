"""Neighbours kept from an earlier day: shares worked out by hand, the sample on real Spark, the figure of the job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import jobs.index.neighbours as neighbours
from jobs.embed_items import JOB
from jobs.index.neighbours import KEPT, NEW_MODEL, SAME_MODEL, kept_share, nearest, vectors_of_both
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from tests.jobs.published import (
    DAY,
    DIMENSION,
    config_in,
    embedding_rows,
    publish_encoder,
    publish_items,
    unit_vectors,
)
from tests.jobs.released import MODEL, copied

NEXT = DAY + timedelta(days=1)


def on_a_circle(*degrees: float) -> np.ndarray:
    """Unit vectors, float32 (n, 2), at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


# -- the share ---------------------------------------------------------------------------


def test_the_share_of_neighbours_that_stay_is_that_of_the_angles() -> None:
    """The two nearest of 0 were 10 and 25, are 25 and 90; of the one that went from 10 to 95 they were 0 and 25, are 90 and 105."""
    then, now = on_a_circle(0, 10, 25, 90, 105), on_a_circle(0, 95, 25, 90, 105)
    assert nearest(then, 2, 2).tolist() == [[1, 2], [0, 2]] and nearest(now, 2, 2).tolist() == [[2, 3], [3, 4]]
    assert kept_share(now, then, asked=1, k=2) == 1 / 2
    assert kept_share(now, then, asked=2, k=2) == (1 / 2 + 0) / 2
    assert kept_share(now, then, asked=9, k=4) == 1, "all there are"


def test_a_day_whose_vectors_are_turned_and_of_another_length_keeps_every_neighbour() -> None:
    then = unit_vectors(60)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSION + 4, DIMENSION)))[0]
    assert kept_share((then @ turn.T).astype(np.float32), then, 60, 10) == 1


small = st.integers(3, 8).flatmap(lambda n: st.tuples(*[arrays(np.float32, (n, 2), elements=st.integers(-3, 3))] * 2))


@given(small, st.integers(1, 8), st.integers(1, 2))
def test_neighbours_are_those_of_a_sort_by_product_and_place(days: tuple[np.ndarray, np.ndarray], asked: int, k: int) -> None:
    """Whole numbers, so that many are equally near."""
    def sets(vectors: np.ndarray) -> list[set[int]]:
        rows = range(len(vectors))
        order = lambda row: sorted(set(rows) - {row}, key=lambda other: (-(vectors[row] @ vectors[other]), other))  # noqa: E731
        return [set(order(row)[:k]) for row in rows[:asked]]

    then, now = days
    shares = [len(a & b) / k for a, b in zip(sets(then), sets(now))]
    assert kept_share(now, then, asked, k) == pytest.approx(np.mean(shares))
    assert kept_share(now, now, asked, k) == 1


# -- the sample --------------------------------------------------------------------------


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_the_sample_is_of_items_of_both_days_and_the_same_whatever_the_layout(
    spark: Any, monkeypatch: pytest.MonkeyPatch, partitions: int
) -> None:
    """Items 0 to 499 today, 100 to 599 then, of whom 300 is another object today: each vector begins with its number."""
    monkeypatch.setattr(neighbours, "SAMPLE", 50)
    numbers = np.arange(600, dtype=np.float32)
    today, earlier = np.stack([numbers, numbers * 0 + 1], axis=1), np.stack([numbers, numbers * 0, numbers], axis=1)
    now = spark.createDataFrame(embedding_rows(np.arange(500), today[:500])).replace("o300", "other", "object_id")
    then = spark.createDataFrame(embedding_rows(np.arange(100, 600), earlier[100:]))
    first, second = vectors_of_both(now.repartition(partitions), then.repartition(8 - partitions), 500, (2, 3), seed=1)
    assert first.shape == (len(first), 2) and second.shape == (len(first), 3)
    assert first[:, 0].tolist() == second[:, 0].tolist()
    assert 30 < len(first) <= 50 and set(first[:, 0]) <= set(range(100, 500)) - {300}
    again, _ = vectors_of_both(now, then, 500, (2, 3), seed=1)
    assert again.tolist() == first.tolist()
    other, _ = vectors_of_both(now, then, 500, (2, 3), seed=2)
    assert set(other[:, 0]) != set(first[:, 0])


# -- the job -----------------------------------------------------------------------------


def kept(context: JobContext) -> dict[str, float]:
    metrics = context.outputs["embeddings", context.dt].metrics
    return {name: metrics[name] for name in KEPT if name in metrics}


def said(context: JobContext) -> dict[str, tuple[bool, str]]:
    """Whether the two checks passed, and what they said beside it."""
    return {c.metric: (c.success, c.note) for verdict in context.audited for c in verdict.checks if c.metric in KEPT}


@pytest.fixture(scope="module")
def config(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A shop of 200 items, 171 of them available, with an encoder."""
    config = config_in(tmp_path_factory.mktemp("neighbours"), model=MODEL, embed={"block": 16})
    publish_encoder(spark, config)
    publish_items(spark, config, 200)
    return config


@pytest.fixture(scope="module")
def first_day(spark: Any, config: Config) -> JobContext:
    return run_job(JOB, config, DAY, lambda: spark)


def test_a_first_day_has_no_figure_and_is_not_judged(first_day: JobContext) -> None:
    assert kept(first_day) == {}
    assert all(success and note.startswith("not judged: no day before") for success, note in said(first_day).values())


def test_the_same_model_keeps_the_neighbours_of_what_did_not_change(
    spark: Any, config: Config, first_day: JobContext, tmp_path: Path
) -> None:
    config = copied(config, tmp_path)
    publish_items(spark, config, 200, NEXT)
    again = run_job(JOB, config, NEXT, lambda: spark)
    assert kept(again) == {SAME_MODEL: 1.0} and again.notes["neighbours kept same model"] == "1.00"
    assert said(again)[SAME_MODEL] == (True, "")
    assert said(again)[NEW_MODEL][0] and said(again)[NEW_MODEL][1].startswith("not judged: no day before")


def test_another_model_has_a_figure_of_its_own_and_the_earlier_day_is_no_input(
    spark: Any, config: Config, first_day: JobContext, tmp_path: Path
) -> None:
    config = copied(config, tmp_path)
    publish_encoder(spark, config, seed=4)
    publish_items(spark, config, 200, NEXT)
    trained = run_job(JOB, config, NEXT, lambda: spark)
    assert kept(trained).keys() == {NEW_MODEL} and 0 < kept(trained)[NEW_MODEL] < 1
    assert ("embeddings", first_day.dt) not in trained.inputs
