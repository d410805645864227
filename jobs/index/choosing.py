"""Which settings of a search are tried, and which of those tried is taken: the cheapest that finds enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

COMPARED_AS = 240
"""Comparing a hit again costs as much as scanning so many 4-bit codes (236, fitted to 50 settings of benchmarks.index_search)."""
REFINES = (1, 2, 3, 4, 6, 8, 12, 16)
"""Tried where the codec compares hits again."""
FINE = 1.2
"""Between two numbers of lists whose ratio is smaller nothing more is tried."""


@dataclass(frozen=True, order=True)
class Setting:
    """How an index is searched: lists per query, and how many times the hits asked for are compared again."""

    probes: int
    refine: int = 1


@dataclass(frozen=True)
class Row:
    """What a setting gave: recall@k with its 95 % interval on the queries that choose, and on those that do not; what it cost.

    `scanned`: codes per query. `cost`: the same with the hits that are compared again, in codes. `qps`: queries per second of
    one core, in one batch. `p50_ms`, `p99_ms`: of queries that come alone, all shards after one another.
    """

    probes: int
    refine: int
    recall: float
    low: float
    high: float
    unseen: float
    scanned: float
    cost: float
    qps: float
    p50_ms: float
    p99_ms: float

    @property
    def setting(self) -> Setting:
        """What was tried."""
        return Setting(self.probes, self.refine)

    def as_json(self) -> dict[str, Any]:
        """For the manifest and for search.json."""
        return asdict(self)


def cost_of(scanned: float, setting: Setting, k: int, shards: int) -> float:
    """Codes scanned and hits compared again, which every shard does for itself, per query; the time it takes follows it.

    It depends on the index alone, not on the machine: what is chosen by it is the same everywhere.
    """
    return scanned + (COMPARED_AS * setting.refine * k * shards if setting.refine > 1 else 0)


def next_probes(tried: Sequence[int], good: Sequence[int], lists: int, beyond: int = 1) -> list[int]:
    """Numbers of lists to try after those `tried`, of which the `good` reached the target: doubled until one does, then between.

    Up to `beyond` times the least good one is tried too: comparing fewer hits again may make up for it. Empty at the end.
    """
    if not tried:
        return [p for p in (1, 2, 4, 8, 16) if p < lists] + ([lists] if lists <= 16 else [])
    most = min(lists, beyond * min(good)) if good else lists
    if max(tried) < most:
        doubled = [max(tried) * 2**n for n in (1, 2, 3)]
        return [p for p in doubled if p < most] + ([most] if doubled[-1] >= most else [])
    return [] if not good else between(max((p for p in tried if p < min(good)), default=min(good)), min(good))


def between(low: int, high: int) -> list[int]:
    """Three numbers between, in equal ratios, or as many as there are; none where the ratio is below FINE."""
    if high <= FINE * low:
        return []
    steps = (round(low * (high / low) ** (n / 4)) for n in (1, 2, 3))
    return sorted({p for p in steps if low < p < high})


def around(tried: Sequence[int], taken: int) -> list[int]:
    """Numbers of lists between the one `taken` and those `tried` on both sides of it."""
    below, above = max((p for p in tried if p < taken), default=taken), min((p for p in tried if p > taken), default=taken)
    return between(below, taken) + between(taken, above)


def choose(rows: Sequence[Row], target: float) -> tuple[Row, bool]:
    """The cheapest row that reaches the target, and True; where none does the one that finds most, and False."""
    enough = [row for row in rows if row.recall >= target]
    if enough:
        return min(enough, key=lambda row: (row.cost, row.setting)), True
    return min(rows, key=lambda row: (-row.recall, row.cost, row.setting)), False


def frontier(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats in both recall and queries per second, by recall."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (-row.recall, -row.qps)):
        if not best or row.qps > best[-1].qps:
            best.append(row)
    return best[::-1]


def as_table(rows: Sequence[Row], chosen: Row, k: int) -> list[str]:
    """Lines for people, one a setting, the chosen one marked."""
    names = ("probes", "refine", f"recall@{k}", "unseen", "codes", "QPS/core", "p50 ms", "p99 ms")
    head = " ".join(f"{name:>{width}}" for name, width in zip(names, (8, 6, 11, 7, 10, 9, 7, 7)))
    return [head] + [
        f"{r.probes:>8} {r.refine:>6} {r.recall:>11.3f} {r.unseen:>7.3f} {r.scanned:>10,.0f} {r.qps:>9,.0f} {r.p50_ms:>7.2f} "
        f"{r.p99_ms:>7.2f}{'  <' if r == chosen else ''}" for r in sorted(rows, key=lambda r: r.setting)
    ]


__all__ = ["Row", "Setting", "around", "as_table", "between", "choose", "cost_of", "frontier", "next_probes"]
