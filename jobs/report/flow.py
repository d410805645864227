"""Where the rows of a day went: dispositions, funnel, positions, quarantine, split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.report.pages import is_number
from jobs.report.plots import position_plot
from jobs.runtime.manifest import Manifest
from schemas.impressions import ATTRIBUTION_RULES
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


@dataclass(frozen=True)
class ReasonLine:
    """Records of one kind that were not accepted, by disposition and reason, and their share of the kind."""

    kind: str
    disposition: str
    reason: str
    records: int
    share: float


def reasons(ledger: Counter[tuple[str, str, str]], top: int = 40) -> list[ReasonLine]:
    """Why records were not accepted: the dispositions in the order of the waterfall, the most frequent reason first."""
    totals: Counter[str] = Counter()
    for (kind, _, _), n in ledger.items():
        totals[kind] += n
    order = {name: n for n, name in enumerate(DISPOSITIONS)}
    lines = [
        ReasonLine(kind, disposition, reason, n, n / totals[kind])
        for (kind, disposition, reason), n in ledger.items() if disposition != "accepted" and n
    ]
    return sorted(lines, key=lambda x: (x.kind, order.get(x.disposition, len(order)), -x.records, x.reason))[:top]


def bot_rules(clients: Mapping[str, int], ledger: Counter[tuple[str, str, str]]) -> list[tuple[str, int, int]]:
    """(rule, clients that it flags, records that it decided): a client may be flagged by several, the first decides."""
    records: Counter[str] = Counter()
    for (_, disposition, reason), n in ledger.items():
        if disposition == "bot":
            records[reason] += n
    lines = [(rule, clients.get(rule, 0), records[rule]) for rule in {*clients, *records}]
    return sorted(lines, key=lambda line: (-line[1], -line[2], line[0]))


def funnel(by_stage: Mapping[str, int], stages: Sequence[str]) -> list[Bar]:
    """Impressions that came at least as far as each stage, as a share of those shown.

    `by_stage` counts impressions by their furthest stage, `stages` names the stages weakest
    first; what is counted under another name was shown, no more.
    """
    shown = sum(by_stage.values())
    counts = [by_stage.get(stage, 0) for stage in stages]
    reached = [("shown", shown), ("examined", sum(counts))]
    reached += [(stage, sum(counts[n:])) for n, stage in enumerate(stages) if n]
    return [Bar(label, n, n / shown if shown else None) for label, n in reached]


def click_rate_plot(by_position: Sequence[Sequence[int]]) -> str | None:
    """Clicks per impression by position, from [position, impressions, clicks] rows."""
    points = [(position, clicks / shown) for position, shown, clicks in by_position if shown]
    return position_plot(sorted(points), "click rate by position") if points else None


@dataclass(frozen=True)
class LabelledDay:
    """How mature the labels of one event day are."""

    dt: str
    impressions: int
    days: int
    final: bool
    labelled_on: str


def maturity(manifests: Iterable[Manifest]) -> list[LabelledDay]:
    """One line per day of impressions that says how long its orders were waited for."""
    known = [(m, m.facts["maturity"]) for m in manifests if "maturity" in m.facts]
    return [LabelledDay(m.dt, m.rows, f["days"], f["final"], f["labelled_on"]) for m, f in known]


@dataclass(frozen=True)
class RuleTable:
    """Conversions by action (rows) and attribution rule (columns)."""

    rules: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


def rule_table(by_action: Mapping[str, Mapping[str, int]]) -> RuleTable:
    """The attributions of a day; rules in the order in which they are tried."""
    seen = {rule for rules in by_action.values() for rule in rules}
    rules = tuple(dict.fromkeys([r for r in ATTRIBUTION_RULES if r in seen] + sorted(seen)))
    rows = ((action, tuple(counts.get(rule, 0) for rule in rules)) for action, counts in sorted(by_action.items()))
    return RuleTable(rules, tuple(rows))


def plain_facts(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Numbers and short words of nested facts as (dotted name, value); lists and free text stay out."""
    rows: list[tuple[str, Any]] = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += plain_facts(value, f"{prefix}{name}.")
        elif is_number(value) or isinstance(value, bool):
            rows.append((f"{prefix}{name}", value))
    return rows
