from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobs.runtime.sections import StreamSettings
from jobs.tuples.proposal import Proposal

ITEMS = 500


@pytest.fixture(scope="module")
def catalogue(spark: Any) -> tuple[Any, Any]:
    """500 items, every tenth unavailable; the first 100 have 1 to 100 positives."""
    items = spark.range(ITEMS).selectExpr("id as dense_id", "id % 10 != 9 as available")
    popularity = spark.range(100).selectExpr("id as dense_id", "id + 1 as positives")
    return items, popularity


def draw(catalogue: Any, settings: StreamSettings, seed: int = 1) -> tuple[Proposal, list[Any]]:
    proposal = Proposal.of(*catalogue, settings)
    return proposal, proposal.draw(*catalogue, seed).collect()


def expected(settings: StreamSettings) -> dict[int, float]:
    available = [n for n in range(ITEMS) if n % 10 != 9]
    weights = {n: (n + 1) ** settings.popularity_alpha for n in available if n < 100}
    u, mass = settings.uniform_share, sum(weights.values())
    return {n: u / len(available) + (1 - u) * weights.get(n, 0) / mass for n in available}


def test_probabilities_follow_the_mixture_and_unavailable_items_are_never_drawn(catalogue: Any) -> None:
    settings = StreamSettings(entries=5_000, uniform_share=0.3, popularity_alpha=0.75)
    proposal, rows = draw(catalogue, settings)
    assert (proposal.available, proposal.positives) == (450, 5_050)
    wanted = expected(settings)
    assert {r["dense_id"] for r in rows} == set(wanted)
    for row in rows:
        assert row["probability"] == pytest.approx(wanted[row["dense_id"]], rel=1e-6)
        share = (row["dense_id"] + 1) / 5_050 if row["dense_id"] < 100 else 0
        assert row["share"] == pytest.approx(share, rel=1e-6)


def test_realised_frequencies_pass_a_chi_square_test_against_the_proposal(catalogue: Any) -> None:
    settings = StreamSettings(entries=5_000, uniform_share=0.5, popularity_alpha=0.75)
    _, rows = draw(catalogue, settings)
    counts, wanted = Counter(r["dense_id"] for r in rows), expected(settings)
    chi_square = sum((counts[n] - 5_000 * p) ** 2 / (5_000 * p) for n, p in wanted.items())
    # 449 degrees of freedom: independent draws stay below 523 in 99 of 100 cases, rounding stays far below them
    assert chi_square < 523
    assert all(abs(counts[n] - 5_000 * p) < 1 for n, p in wanted.items())
    # ... and the test can fail: the uniform proposal is refused
    assert sum((counts[n] - 5_000 / 450) ** 2 / (5_000 / 450) for n in wanted) > 523


def test_a_short_stream_draws_each_item_with_its_probability(catalogue: Any) -> None:
    """Expected counts of 0.2: over 10 seeds an item comes about twice."""
    settings = StreamSettings(entries=90, uniform_share=1.0)
    proposal = Proposal.of(*catalogue, settings)
    counts: Counter[int] = Counter()
    for seed in range(10):
        counts.update(r["dense_id"] for r in proposal.draw(*catalogue, seed).collect())
    assert sum(counts.values()) == pytest.approx(10 * 90, rel=0.1)
    # binomial(10, 0.2): mean 2, variance 1.6; chi-square with 450 degrees of freedom is below 524 in 99 of 100 cases
    assert sum((counts[n] - 2) ** 2 / 1.6 for n in expected(settings)) < 524


def test_without_any_positive_the_proposal_is_uniform(spark: Any, catalogue: Any) -> None:
    none = spark.createDataFrame([], "dense_id bigint, positives bigint")
    proposal = Proposal.of(catalogue[0], none, StreamSettings(entries=900))
    rows = proposal.draw(catalogue[0], none, 1).collect()
    assert len(rows) == 900
    assert {r["share"] for r in rows} == {0.0}


def test_copies_are_numbered_from_zero_and_the_same_from_any_layout(catalogue: Any) -> None:
    items, popularity = catalogue
    settings = StreamSettings(entries=3_000)
    proposal = Proposal.of(items.repartition(7), popularity.repartition(3), settings)
    assert proposal == Proposal.of(items, popularity, settings)
    one = sorted(map(tuple, proposal.draw(items, popularity, 1).collect()))
    assert one == sorted(map(tuple, proposal.draw(items.repartition(7), popularity, 1).collect()))
    copies: dict[int, list[int]] = {}
    for dense_id, copy, *_ in one:
        copies.setdefault(dense_id, []).append(copy)
    assert all(c == list(range(len(c))) for c in copies.values())
