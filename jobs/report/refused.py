"""Examples of what was refused, without anything that a person typed or is known by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PLAIN_FIELDS = ("action", "position", "price", "quantity", "ts")
"""Fields whose refused values are shown: the log's own words and numbers. A query, a name or an id could be somebody's."""
LENGTHS = ("too_long", "too_many")
"""Reasons whose value is a length or a number, whatever the field."""
PER_REASON = 3
LONGEST = 40


@dataclass(frozen=True)
class Refused:
    """Records refused for one reason with one value: how many of those looked at, and where the first of them stood."""

    kind: str
    reason: str
    field: str
    value: str | None
    records: int
    place: str


def examples(rows: Iterable[Mapping[str, Any]]) -> list[Refused]:
    """The most frequent values of each reason. `rows` are of `quarantine` or `item_quarantine`; excerpts are not read."""
    groups: dict[tuple[str, str, str, str | None], list[str]] = defaultdict(list)
    for row in rows:
        field = row["field"] or ""
        value = _plain(row["reason"], field, row["value"])
        groups[row["kind"], row["reason"], field, value].append(f"{row['file']}:{row['line']}")
    lines = [Refused(*key, len(places), min(places)) for key, places in groups.items()]
    lines.sort(key=lambda x: (x.kind, x.reason, -x.records, x.field, x.value or ""))
    kept: dict[tuple[str, str], int] = defaultdict(int)
    return [line for line in lines if _count(kept, (line.kind, line.reason)) <= PER_REASON]


def _plain(reason: str, field: str, value: str | None) -> str | None:
    return value[:LONGEST] if value is not None and (field in PLAIN_FIELDS or reason in LENGTHS) else None


def _count(kept: dict[tuple[str, str], int], key: tuple[str, str]) -> int:
    kept[key] += 1
    return kept[key]
