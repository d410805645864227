"""Where the ids of each grain stand: in a row of ids, and in the one embedding table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmse_model.config import GrainsSettings
from schemas.vocabulary import GRAINS, TEXT_GRAINS

PADDING = 0
"""The id that stands for nothing; row 0 of the table."""


@dataclass(frozen=True)
class GrainRange:
    """Rows of one grain in the table: `known` vocabulary rows from `start`, then `bins` hash bins."""

    start: int
    known: int
    bins: int

    @property
    def stop(self) -> int:
        """First row after this grain."""
        return self.start + self.known + self.bins


@dataclass(frozen=True)
class GrainLayout:
    """Shapes that data and model agree on.

    A query is a row of Q = `query_length` ids, an item one of I = `item_length`; `query[grain]`
    and `item[grain]` are the columns of a grain. The query side has no attribute grain.
    """

    query: dict[str, slice]
    item: dict[str, slice]
    ranges: dict[str, GrainRange]

    @property
    def query_length(self) -> int:
        """Q: ids in a query row."""
        return max(s.stop for s in self.query.values())

    @property
    def item_length(self) -> int:
        """I: ids in an item row."""
        return max(s.stop for s in self.item.values())

    @property
    def table_rows(self) -> int:
        """Rows of the embedding table, padding included."""
        return max(r.stop for r in self.ranges.values())

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers; `from_json` takes them back."""
        return {
            "query": {g: [s.start, s.stop] for g, s in self.query.items()},
            "item": {g: [s.start, s.stop] for g, s in self.item.items()},
            "ranges": {g: [r.start, r.known, r.bins] for g, r in self.ranges.items()},
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> GrainLayout:
        """The layout that `to_json` described."""
        return GrainLayout(
            query={g: slice(*bounds) for g, bounds in body["query"].items()},
            item={g: slice(*bounds) for g, bounds in body["item"].items()},
            ranges={g: GrainRange(*numbers) for g, numbers in body["ranges"].items()},
        )


def make_layout(settings: GrainsSettings, known: Mapping[str, int]) -> GrainLayout:
    """The layout for a vocabulary of `known[grain]` tokens; row 0 stays for padding."""
    ranges, start = {}, PADDING + 1
    for grain in GRAINS:
        ranges[grain] = GrainRange(start, known.get(grain, 0), getattr(settings, grain).bins)
        start = ranges[grain].stop
    return GrainLayout(
        query=_columns({g: getattr(settings, g).query_length for g in TEXT_GRAINS}),
        item=_columns({g: getattr(settings, g).item_length for g in GRAINS}),
        ranges=ranges,
    )


def _columns(lengths: Mapping[str, int]) -> dict[str, slice]:
    columns, start = {}, 0
    for grain, length in lengths.items():
        columns[grain] = slice(start, start + length)
        start += length
    return columns
