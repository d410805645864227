"""Where the rows of a day went: dispositions, funnel, positions, quarantine, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.report.pages import is_number
from jobs.report.plots import position_plot
from schemas.quarantine import DISPOSITIONS


@dataclass(frozen=True)
class Bar:
    """One bar: a label, a count, and its share of the whole."""

    label: str
    value: float
    share: float | None


@dataclass(frozen=True)
class Waterfall:
    """The raw records of one kind and what became of each."""

    kind: str
    total: int
    bars: tuple[Bar, ...]


def waterfalls(ledger: Counter[tuple[str, str, str]]) -> list[Waterfall]:
    """One per kind of record: every disposition in the order in which it is decided."""
    kinds = sorted({kind for kind, _, _ in ledger})
    made = []
    for kind in kinds:
        counts: Counter[str] = Counter()
        for (of_kind, disposition, _), records in ledger.items():
            counts[disposition] += records * (of_kind == kind)
        total = counts.total()
        names = [d for d in (*DISPOSITIONS, *sorted(counts)) if counts[d]]
        bars = tuple(Bar(d, counts[d], counts[d] / total) for d in dict.fromkeys(names))
        made.append(Waterfall(kind, total, bars))
    return made


def quarantine_reasons(ledger: Counter[tuple[str, str, str]], top: int = 12) -> list[tuple[str, str, int]]:
    """(kind, reason, records) of quarantined records, most frequent first."""
    reasons = [(kind, reason, n) for (kind, disposition, reason), n in ledger.items() if disposition == "quarantined"]
    return sorted(reasons, key=lambda row: (-row[2], row[0], row[1]))[:top]


FUNNEL = (("shown", "rows"), ("examined", "examined"), ("clicked", "with_click"), ("carted", "with_cart"),
          ("ordered", "with_order"))


def funnel(metrics: Mapping[str, float]) -> list[Bar]:
    """Impressions that came at least as far as each stage, as a share of those shown."""
    shown = metrics.get("rows", 0.0)
    return [Bar(label, metrics[m], metrics[m] / shown if shown else None) for label, m in FUNNEL if m in metrics]


def click_rate_plot(facts: Mapping[str, Any]) -> str | None:
    """Clicks per impression by position, where the labels' facts give it."""
    points = [(int(row["position"]), float(row["ctr"])) for row in facts.get("ctr_by_position", ())]
    return position_plot(sorted(points), "click rate by position") if points else None


def plain_facts(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Numbers and short words of nested facts as (dotted name, value); lists and free text stay out."""
    rows: list[tuple[str, Any]] = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += plain_facts(value, f"{prefix}{name}.")
        elif is_number(value) or isinstance(value, bool):
            rows.append((f"{prefix}{name}", value))
    return rows
