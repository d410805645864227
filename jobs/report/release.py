"""The release of a day beside the one that was in force before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.index.drops import drops
from jobs.runtime.sections import ReleaseSettings


@dataclass(frozen=True)
class Beside:
    """One cutoff of ordered or clicked recall: before, now, each by its own test day; None where it was not measured."""

    figure: str
    before: float | None
    now: float | None


@dataclass(frozen=True)
class Comparison:
    """The day of the release before, recall and other figures of both, and what publish_release asked."""

    day: str
    rows: tuple[Beside, ...]
    falls: tuple[tuple[str, float, float], ...]
    """(what, how far it lies below the release before as a share of it, how far it may)"""


def compare(day: str, before: Mapping[str, Any], now: Mapping[str, Any], settings: ReleaseSettings) -> Comparison:
    """Both releases' figures, as their manifests have them, side by side."""
    figures = [_figures(release) for release in (before, now)]
    names = dict.fromkeys(name for found in reversed(figures) for name in found)
    rows = tuple(Beside(name, *(found.get(name) for found in figures)) for name in names)
    return Comparison(day, rows, tuple((fall.what, fall.drop, fall.limit) for fall in drops(before, now, settings)))


def _figures(release: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value: recall of the index by truth and k, recall beside exact search, coverage, items."""
    found = {
        f"{row['truth']} recall@{row['k']}": row["recall"] for row in release.get("recall", ()) if row["search"] == "ann"
    }
    found |= {f"recall@{k} beside exact search": of["mean"] for k, of in release.get("recall_vs_exact", {}).items()}
    if coverage := release.get("coverage"):
        found[f"share of the catalogue in the first {coverage['k']}"] = coverage["share"]
    return found | {"items in the index": release["vectors"]} if "vectors" in release else found
