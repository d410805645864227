"""How far an index has moved from what its quantizer was trained for, figure by figure, as a share of what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.runtime.index_section import DeltaSettings


@dataclass(frozen=True)
class Drift:
    """One figure, when the quantizer was trained and now, and how much of the allowed distance it has gone: 1 is the limit."""

    figure: str
    trained: float
    now: float
    share: float
    setting: str

    def sentence(self) -> str:
        """For whoever asks why the index was built anew."""
        return (
            f"{self.figure} was {self.trained:.4g} when the quantizer was trained and is {self.now:.4g}: "
            f"beyond index.delta.{self.setting}"
        )


def watched(figures: Mapping[str, Any]) -> dict[str, float]:
    """Of an index's figures those that are watched."""
    return {
        "list_imbalance": figures["list_imbalance"],
        "empty_lists_share": figures["empty_lists_share"],
        "list_distance": figures["list_distance"],
        "codec_mean_squared_error": figures["codec_mean_squared_error"],
        "recall_at_10_vs_exact": figures["recall_vs_exact"]["10"]["mean"],
    }


def drifts(trained: Mapping[str, float], now: Mapping[str, float], settings: DeltaSettings) -> Iterator[Drift]:
    """Every watched figure beside what it was."""
    for figure, setting in (
        ("list_imbalance", "max_imbalance_growth"), ("list_distance", "max_error_growth"),
        ("codec_mean_squared_error", "max_codec_growth"),
    ):
        before, after = trained[figure], now[figure]
        growth = after / before - 1 if before else float(after > 0)
        yield Drift(figure, before, after, max(0.0, growth / (getattr(settings, setting) - 1)), setting)
    for figure, setting, sign in (
        ("empty_lists_share", "max_empty_growth", 1), ("recall_at_10_vs_exact", "max_recall_drop", -1),
    ):
        moved = sign * (now[figure] - trained[figure])
        yield Drift(figure, trained[figure], now[figure], max(0.0, moved / getattr(settings, setting)), setting)


def furthest(found: Iterator[Drift]) -> Drift:
    """The figure that has gone most of its way."""
    return max(found, key=lambda drift: drift.share)
