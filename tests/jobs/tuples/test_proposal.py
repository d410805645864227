from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobs.runtime.sections import StreamSettings
from jobs.tuples.proposal import Proposal, stream_entries

ITEMS = 500


def rows(spark: Any, start: int, stop: int) -> Any:
    """Items of one locale, every tenth unavailable."""
    return spark.range(start, stop).selectExpr(
        "id as dense_id", "'' as locale", "id % 10 != 9 as available", "timestamp '2026-01-01' as valid_from"
    )


@pytest.fixture(scope="module")
def catalogue(spark: Any) -> tuple[Any, Any]:
    """500 items, every tenth unavailable; the first 100 have 1 to 100 positives."""
    return rows(spark, 0, ITEMS), rows(spark, 0, 100).selectExpr("*", "dense_id + 1 as positives")


def measured(catalogue: Any, settings: StreamSettings) -> Proposal:
    items, popularity = catalogue
    return Proposal.of({"": items.where("available").count()}, popularity, settings)


def draw(catalogue: Any, settings: StreamSettings, seed: int = 1) -> tuple[Proposal, list[Any]]:
    proposal = measured(catalogue, settings)
    return proposal, proposal.draw(*catalogue, settings.entries or 0, seed).collect()


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
    counts: Counter[int] = Counter()
    for seed in range(10):
        counts.update(r["dense_id"] for r in draw(catalogue, settings, seed)[1])
    assert sum(counts.values()) == pytest.approx(10 * 90, rel=0.1)
    # binomial(10, 0.2): mean 2, variance 1.6; chi-square with 450 degrees of freedom is below 524 in 99 of 100 cases
    assert sum((counts[n] - 2) ** 2 / 1.6 for n in expected(settings)) < 524


def test_without_any_positive_the_proposal_is_uniform(spark: Any, catalogue: Any) -> None:
    none = catalogue[1].where("false")
    proposal, rows = draw((catalogue[0], none), StreamSettings(entries=900))
    assert proposal.positives == 0
    assert len(rows) == 900
    assert {r["share"] for r in rows} == {0.0}


def test_copies_are_numbered_from_zero_and_the_same_from_any_layout(catalogue: Any) -> None:
    items, popularity = catalogue
    settings = StreamSettings(entries=3_000)
    proposal = measured((items.repartition(7), popularity.repartition(3)), settings)
    assert proposal == measured(catalogue, settings)
    one = sorted(map(tuple, proposal.draw(items, popularity, 3_000, 1).collect()))
    assert one == sorted(map(tuple, proposal.draw(items.repartition(7), popularity.repartition(3), 3_000, 1).collect()))
    copies: dict[int, list[int]] = {}
    for dense_id, copy, *_ in one:
        copies.setdefault(dense_id, []).append(copy)
    assert all(c == list(range(len(c))) for c in copies.values())


def test_each_locale_gets_the_share_of_the_stream_that_it_has_of_the_positives(spark: Any) -> None:
    """Swedish: 900 items and 9 positives; Danish: 100 items and 89; Finnish: 50 items and none."""
    def of(locale: str, start: int, stop: int) -> Any:
        return rows(spark, start, stop).selectExpr("dense_id", f"'{locale}' as locale", "true as available", "valid_from")

    items = of("sv", 0, 900).unionByName(of("da", 1_000, 1_100)).unionByName(of("fi", 2_000, 2_050))
    positives = of("sv", 0, 1).selectExpr("*", "9L as positives").unionByName(of("da", 1_000, 1_001).selectExpr("*", "89L as positives"))
    settings = StreamSettings(uniform_share=0.5)
    proposal = Proposal.of({"sv": 900, "da": 100, "fi": 50}, positives, settings)
    assert proposal.weights() == pytest.approx({"sv": 10 / 101, "da": 90 / 101, "fi": 1 / 101})
    drawn = proposal.draw(items, positives, 10_100, 1).collect()
    found = Counter("sv" if r["dense_id"] < 1_000 else "da" if r["dense_id"] < 2_000 else "fi" for r in drawn)
    assert found["fi"] == 100  # one locale without a positive: uniform, twice each
    assert found["sv"] == pytest.approx(1_000, abs=30)
    assert found["da"] == pytest.approx(9_000, abs=30)
    first = next(r for r in drawn if r["dense_id"] == 1_000)
    assert first["probability"] == pytest.approx(90 / 101 * (0.5 / 100 + 0.5))


def test_the_stream_is_as_long_as_the_training_that_reads_it_or_as_configured() -> None:
    assert stream_entries(StreamSettings(), 5_000) == 5_000
    assert stream_entries(StreamSettings(most_entries=3_000), 5_000) == 3_000
    assert stream_entries(StreamSettings(entries=70), 5_000) == 70
    assert stream_entries(StreamSettings(), 0) == 1
