from __future__ import annotations

from typing import Any

import pytest

from jobs.index.drops import drops
from jobs.runtime.sections import ReleaseSettings

LIMITS = ReleaseSettings(max_recall_drop=0.1, max_ann_drop=0.03, max_coverage_drop=0.3, max_catalogue_drop=0.2)


def release(recall: float = 0.8, ann: float = 0.98, coverage: float = 0.9, vectors: int = 1_000, k: int = 50) -> dict[str, Any]:
    row = {"truth": "ordered", "search": "ann", "k": k, "recall": recall}
    return {
        "k": k, "recall": [row], "recall_vs_exact": {"10": {"mean": ann}}, "coverage": {"k": k, "share": coverage},
        "vectors": vectors,
    }


def over(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, float]:
    return {d.metric: round(d.over, 6) for d in drops(before, now, LIMITS) if d.over}


def test_a_release_as_good_as_the_last_or_better_falls_nowhere() -> None:
    assert over(release(), release()) == over(release(), release(0.9, 0.99, 0.95, 2_000)) == {}


@pytest.mark.parametrize(("now", "expected"), [
    (release(recall=0.68), {"ordered_recall_drop": 0.05}),
    (release(ann=0.98 * 0.95), {"ann_recall_drop": 0.02}),
    (release(coverage=0.45), {"coverage_drop": 0.2}),
    (release(vectors=750), {"catalogue_drop": 0.05}),
])
def test_each_figure_has_its_own_bound(now: dict[str, Any], expected: dict[str, float]) -> None:
    assert over(release(), now) == expected


def test_a_fall_is_told_in_percent_with_the_setting_that_bounds_it() -> None:
    (fall,) = [d for d in drops(release(), release(vectors=500), LIMITS) if d.over]
    assert fall.sentence("2026-01-07") == (
        "the number of items in the index is 50.0% below the release of 2026-01-07; release.max_catalogue_drop = 0.2 allows 20.0%"
    )


def test_the_first_release_and_one_measured_at_another_cutoff_are_not_compared() -> None:
    assert over(None, release(0.1, 0.1, 0.1, 1)) == {}
    assert over(release(k=50), release(recall=0.1, coverage=0.1, k=100)) == {}
    old = {name: value for name, value in release().items() if name != "coverage"}
    assert over(old, release(coverage=0.01)) == {}
