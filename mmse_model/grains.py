"""Text and attributes to ids: one implementation for Spark (through Arrow), for training and at query time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmse_model.attributes import attribute_tokens
from mmse_model.config import GrainsSettings
from mmse_model.hashing import Hashes, hash_tokens
from mmse_model.layout import PADDING, GrainLayout, GrainRange, make_layout
from mmse_model.text import normalise_many
from mmse_model.tokens import Tokens, tokenise
from schemas.vocabulary import ATTRIBUTE_GRAIN, GRAINS

FORMAT = 1
_CHUNK = 8_192
FREE = -1
_ROOM = 4
"""Places of a vocabulary's table for each token, rounded up to a power of two: few searches need a second look."""

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Grains:
    """A frozen vocabulary and the layout that follows from it.

    A token's id is the first row of its grain plus its rank in the vocabulary; a token that is not there
    shares the row of its hash bin: first row + vocabulary size + hash modulo bins (mmse_model.hashing).
    """

    tokens: Mapping[str, tuple[str, ...]]
    settings: GrainsSettings

    @staticmethod
    def build(tokens: Mapping[str, Sequence[str]], settings: GrainsSettings) -> Grains:
        """Grains over `tokens[grain]`, in rank order.

        Raises ValueError where a grain is unknown or two tokens of one grain share a hash.
        """
        unknown = sorted(set(tokens) - set(GRAINS))
        if unknown:
            raise ValueError(f"vocabulary: grain {unknown[0]!r}; expected one of {GRAINS}")
        grains = Grains({g: tuple(tokens.get(g, ())) for g in GRAINS}, settings)
        grains._vocabularies  # noqa: B018 - made now, because two tokens of one hash are to be refused here
        return grains

    def save(self, path: str | Path) -> None:
        """Writes the vocabulary and its settings as one JSON file."""
        body = {"format": FORMAT, "settings": self.settings.model_dump(mode="json"), "tokens": dict(self.tokens)}
        Path(path).write_text(json.dumps(body, ensure_ascii=False, sort_keys=True), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> Grains:
        """Reads what `save` wrote. Raises ValueError that names the file where it is anything else."""
        try:
            body = json.loads(Path(path).read_text(encoding="utf-8"))
            found = body["format"]
            if found != FORMAT:
                raise ValueError(f"format = {found!r}; expected {FORMAT}")
            return Grains.build(body["tokens"], GrainsSettings.model_validate(body["settings"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a vocabulary file ({' '.join(str(error).split())})") from None

    @cached_property
    def layout(self) -> GrainLayout:
        """Where each grain's ids stand."""
        return make_layout(self.settings, {g: len(t) for g, t in self.tokens.items()})

    def query_ids(self, texts: Sequence[str | None]) -> Ids:
        """Ids of queries, (N, Q); the rows of empty queries are all padding."""
        return self._text_ids(texts, self.layout.query, self.layout.query_length)

    def item_ids(
        self, titles: Sequence[str | None], brands: Sequence[str | None], category_paths: Sequence[str | None],
        shops: Sequence[str | None], prices: Sequence[float | None],
    ) -> Ids:
        """Ids of items, (N, I)."""
        ids = self._text_ids(titles, self.layout.item, self.layout.item_length)
        ids[:, self.layout.item[ATTRIBUTE_GRAIN]] = self._attribute_ids(brands, category_paths, shops, prices)
        return ids

    @cached_property
    def _vocabularies(self) -> dict[str, _Vocabulary]:
        return {g: _Vocabulary.of(g, self.tokens[g], self.layout.ranges[g]) for g in GRAINS}

    def _text_ids(self, texts: Sequence[str | None], columns: Mapping[str, slice], length: int) -> Ids:
        ids = np.full((len(texts), length), PADDING, np.int32)
        for start, part in _chunks(texts):
            rows = ids[start : start + len(part)]
            for grain, tokens in tokenise(part).items():
                _place(rows[:, columns[grain]], tokens, self._vocabularies[grain])
        return ids

    def _attribute_ids(self, brands: Any, category_paths: Any, shops: Any, prices: Any) -> Ids:
        settings = self.settings.attribute
        found = attribute_tokens(brands, category_paths, shops, prices, settings.item_length, settings.price_buckets)
        ids = self._vocabularies[ATTRIBUTE_GRAIN].ids(hash_tokens(found.tokens))
        return np.append(ids, PADDING).astype(np.int32)[found.rows]


@dataclass(frozen=True)
class _Vocabulary:
    """Looks tokens of one grain up by their hashes, in an open table: many times as fast as a search in a sorted one."""

    range: GrainRange
    hashes: Hashes
    """Hash in each place of the table, whose size is a power of two."""
    rows: NDArray[np.int64]
    """Row of the embedding table that belongs to each place; FREE where there is none."""

    @staticmethod
    def of(grain: str, tokens: Sequence[str], grain_range: GrainRange) -> _Vocabulary:
        """Raises ValueError where two tokens have one hash."""
        hashes = hash_tokens(tokens)
        _refuse_doubles(grain, tokens, hashes)
        size = 1 << (_ROOM * len(hashes)).bit_length()
        places, rows = np.zeros(size, np.uint64), np.full(size, FREE)
        left, at = np.arange(len(hashes)), _place_of(hashes, size)
        while len(left):
            # Of the tokens that meet in a free place the first takes it; all others try the next one.
            taken, first = np.unique(at, return_index=True)
            first = first[rows[taken] == FREE]
            places[at[first]], rows[at[first]] = hashes[left[first]], grain_range.start + left[first]
            left, at = np.delete(left, first), (np.delete(at, first) + 1) % size
        return _Vocabulary(grain_range, places, rows)

    def ids(self, hashes: Hashes) -> NDArray[np.int64]:
        """The table row of each token."""
        first_bin = self.range.start + self.range.known
        ids = first_bin + (hashes % np.uint64(self.range.bins)).astype(np.int64)
        left, at = np.arange(len(hashes)), _place_of(hashes, len(self.rows))
        while len(left):
            rows = self.rows[at]
            mine = (self.hashes[at] == hashes[left]) & (rows != FREE)
            ids[left[mine]] = rows[mine]
            further = np.flatnonzero(~mine & (rows != FREE))
            left, at = left[further], (at[further] + 1) % len(self.rows)
        return ids


def _place_of(hashes: Hashes, size: int) -> NDArray[np.int64]:
    """Where a table of `size` places begins to look for each hash."""
    return (hashes & np.uint64(size - 1)).astype(np.int64)


def _refuse_doubles(grain: str, tokens: Sequence[str], hashes: Hashes) -> None:
    order = np.argsort(hashes, kind="stable")
    double = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    if len(double):
        first, second = (tokens[order[double[0] + n]] for n in (0, 1))
        raise ValueError(f"vocabulary: {grain} {first!r} and {second!r} have one hash; expected different tokens")


def _chunks(texts: Sequence[str | None]) -> Iterator[tuple[int, list[str]]]:
    """Normalised texts, a bounded number at a time, each with the position of its first."""
    for start in range(0, len(texts), _CHUNK):
        yield start, normalise_many(texts[start : start + _CHUNK])


def _place(columns: Ids, tokens: Tokens, vocabulary: _Vocabulary) -> None:
    """Writes each text's first tokens into its row of `columns` (N, length), in place."""
    counts = np.bincount(tokens.owners, minlength=len(columns))
    rank = np.arange(len(tokens.owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = rank < columns.shape[1]
    columns[tokens.owners[kept], rank[kept]] = vocabulary.ids(tokens.hashes[kept])


__all__ = ["PADDING", "GrainLayout", "GrainRange", "Grains", "make_layout"]
