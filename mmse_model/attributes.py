"""Tokens of the attribute grain: `brand=…`, `shop=…`, `price=…`, and `cat=…` for each level of the category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mmse_model.text import normalise

REMEMBERED = 1 << 15
"""Values of each kind that a process keeps spelled out: one batch of a catalogue has much the same as the next."""
SINGLE = 3
"""Brand, shop and price have one token each; the rest of a row is for category levels."""


@dataclass(frozen=True)
class AttributeTokens:
    """The different tokens of a batch of items, and which of them each item has."""

    tokens: list[str]
    rows: NDArray[np.int64]
    """(N, length) positions in `tokens`, left-aligned; -1 is empty."""


def attribute_tokens(
    brands: Sequence[str | None], category_paths: Sequence[str | None], shops: Sequence[str | None],
    prices: Sequence[float | None], length: int, price_buckets: int,
) -> AttributeTokens:
    """At most `length` tokens per item; of a deep category the levels next to the item are kept.

    Texts may come as Arrow arrays. Every different value is spelled out once, however many items share it.
    """
    levels = length - SINGLE
    numbers: dict[str, int] = {}
    columns = (
        _column(_texts(brands), lambda value: _named("brand", value), 1, numbers),
        _column(_texts(shops), lambda value: _named("shop", value), 1, numbers),
        _column(pa.array(price_bucket(prices, price_buckets)), _price_token, 1, numbers),
        _column(_texts(category_paths), lambda value: category_tokens(value)[-levels:], levels, numbers),
    )
    rows = np.concatenate(columns, axis=1)
    filled_first = np.argsort(rows < 0, axis=1, kind="stable")
    return AttributeTokens(list(numbers), np.take_along_axis(rows, filled_first, axis=1))


def price_bucket(prices: Sequence[float | None], buckets: int) -> NDArray[np.int64]:
    """(N,) buckets: 0 below 1, then one per doubling, the last open; -1 where the price is absent or not positive."""
    values = np.asarray(prices, dtype=np.float64).reshape(-1)
    return np.where(values > 0, np.searchsorted(price_bounds(buckets), values, side="right"), -1)


def price_bounds(buckets: int) -> NDArray[np.float64]:
    """(buckets - 1,) the lowest price of every bucket but the first."""
    return 2.0 ** np.arange(buckets - 1)


def category_tokens(path: Any) -> list[str]:
    """`A > B` gives `cat=a` and `cat=a > b`: a level is known by all that stands above it."""
    return list(_levels(path)) if isinstance(path, str) else []


@lru_cache(maxsize=REMEMBERED)
def _levels(path: str) -> tuple[str, ...]:
    levels = [level for part in path.split(">") if (level := normalise(part))]
    return tuple("cat=" + " > ".join(levels[: n + 1]) for n in range(len(levels)))


def _named(name: str, value: Any) -> list[str]:
    text = _text(value) if isinstance(value, str) else ""
    return [f"{name}={text}"] if text else []


@lru_cache(maxsize=REMEMBERED)
def _text(value: str) -> str:
    return normalise(value)


def _price_token(bucket: int) -> list[str]:
    return [f"price={bucket}"] if bucket >= 0 else []


def _texts(values: Sequence[str | None]) -> pa.Array:
    """An Arrow array of strings; one is taken as it is."""
    return values if isinstance(values, pa.Array) else pa.array(values, pa.string(), from_pandas=True)


def _column(
    values: pa.Array, spell: Callable[[Any], list[str]], width: int, numbers: dict[str, int]
) -> NDArray[np.int64]:
    """(N, width) token positions of each value; tokens met for the first time are added to `numbers`."""
    encoded = values.dictionary_encode(null_encoding="encode")
    different = encoded.dictionary.to_pylist()
    table = np.full((len(different), width), -1, np.int64)
    for row, value in enumerate(different):
        for column, token in enumerate(spell(value)):
            table[row, column] = numbers.setdefault(token, len(numbers))
    return table[encoded.indices.to_numpy()]
