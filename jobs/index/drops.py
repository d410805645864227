"""How far a release lies below the one in force, figure by figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.index.parts import ordered_recall, relative_drop
from jobs.runtime.sections import ReleaseSettings


@dataclass(frozen=True)
class Drop:
    """One figure: its name in the metrics, what it is for people, the setting that bounds it, the fall and the bound."""

    metric: str
    what: str
    setting: str
    drop: float
    limit: float

    @property
    def over(self) -> float:
        """By how much the fall exceeds its bound; 0 where it does not."""
        return max(0.0, self.drop - self.limit)

    def sentence(self, day: str) -> str:
        """For whoever asks why a release was refused."""
        return (
            f"{self.what} is {self.drop:.1%} below the release of {day}; release.{self.setting} = {self.limit} allows "
            f"{self.limit:.1%}"
        )


def drops(before: Mapping[str, Any] | None, now: Mapping[str, Any], settings: ReleaseSettings) -> Iterator[Drop]:
    """Every figure of `now`, as release.json has it, beside the release in force; falls of 0 where there is none to compare.

    A figure is compared where both releases were measured at the same cutoff: recall at its K, or at the largest they share.
    """
    recall = relative_drop(ordered_recall(before["recall"]), ordered_recall(now["recall"]), now["k"]) if before else None
    k, fall = recall or (now["k"], 0.0)
    yield Drop("ordered_recall_drop", f"ordered recall@{k}", "max_recall_drop", fall, settings.max_recall_drop)
    for metric, what, setting, figure in (
        ("ann_recall_drop", "the index's recall@10 beside exact search", "max_ann_drop", _ann_recall),
        ("coverage_drop", "the share of the catalogue that is retrieved", "max_coverage_drop", _coverage),
        ("catalogue_drop", "the number of items in the index", "max_catalogue_drop", _vectors),
    ):
        earlier, later = figure(before or {}, now), figure(now, now)
        fall = 1 - later / earlier if earlier and later is not None else 0.0
        yield Drop(metric, what, setting, fall, getattr(settings, setting))


def _ann_recall(release: Mapping[str, Any], _: Mapping[str, Any]) -> float | None:
    return release.get("recall_vs_exact", {}).get("10", {}).get("mean")


def _coverage(release: Mapping[str, Any], now: Mapping[str, Any]) -> float | None:
    told = release.get("coverage")
    return told["share"] if told and told["k"] == (now.get("coverage") or {}).get("k") else None


def _vectors(release: Mapping[str, Any], _: Mapping[str, Any]) -> float | None:
    return release.get("vectors")
