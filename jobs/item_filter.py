"""Which items a search may find: brands, categories, shops and a range of prices, looked up in a release's item files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from jobs.runtime.errors import ConfigError
from jobs.runtime.safe_yaml import shown
from mmse_model.attributes import category_tokens
from mmse_model.text import normalise

LEVEL = "cat="
"""How `category_tokens` begins the name of a level."""


@dataclass(frozen=True)
class Where:
    """An item matches if it has one of the brands, lies in one of the categories, is of one of the shops, and has such a price.

    Each of these holds only where it is given; a text may stand for a sequence of one. Texts are normalised as queries are
    (`mmse_model.text`), so that case and width make no difference, and kept in one order: equal filters are equal. A category is
    the beginning of a path, whole levels of it, parted by ">" or, where there is none in it, by "/"; kept as `a > b`. Both prices
    belong to the range; an item without a price lies in none.

    Raises ConfigError for a text of which normalisation leaves nothing, a price that is no finite number of at least 0, and a
    lowest price above the highest.
    """

    brands: Sequence[str] = ()
    categories: Sequence[str] = ()
    shops: Sequence[str] = ()
    min_price: float | None = None
    max_price: float | None = None

    def __post_init__(self) -> None:
        for name, flag, norm in (
            ("brands", "--brand", normalise), ("categories", "--category", category_of), ("shops", "--shop", normalise)
        ):
            object.__setattr__(self, name, _normalised(flag, getattr(self, name), norm))
        for flag, price in (("--min-price", self.min_price), ("--max-price", self.max_price)):
            if price is not None and not 0 <= price < math.inf:
                raise ConfigError(f"{flag} {price}: expected a price of at least 0")
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ConfigError(f"--min-price {self.min_price}: expected at most --max-price, {self.max_price}")

    def tests(self) -> dict[str, Callable[[str], bool]]:
        """Column of `items` -> whether a text of it matches, for those that are asked about; first what has fewest values."""
        brands, levels, shops = set(self.brands), {LEVEL + category for category in self.categories}, set(self.shops)
        tests: dict[str, Callable[[str], bool]] = {
            "category_path": lambda text: not levels.isdisjoint(category_tokens(text)),
            "brand": lambda text: normalise(text) in brands,
            "shop": lambda text: normalise(text) in shops,
        }
        asked = {"category_path": levels, "brand": brands, "shop": shops}
        return {name: test for name, test in tests.items() if asked[name]}


def category_of(text: str) -> str:
    """`Electronics/Cables` and `Electronics > Cables` give `electronics > cables`; the empty string where no level is left."""
    levels = category_tokens(text if ">" in text else text.replace("/", ">"))
    return levels[-1].removeprefix(LEVEL) if levels else ""


def matching_ids(files: Sequence[Path], where: Where) -> Iterator[np.ndarray]:
    """Dense ids of available items that match, int64 (n,) for each part of the files; read are the columns asked about alone.

    Availability and prices are filtered while reading. Texts cannot be, since they are stored as the shop spells them: every
    different text of a part is normalised once, of what the texts before it have left.
    """
    tests = where.tests()
    table = pads.dataset([str(path) for path in files], format="parquet")
    for batch in table.to_batches(columns=["dense_id", *tests], filter=_stored(where)):
        for name, test in tests.items():
            batch = batch.filter(_fits(batch.column(name), test))
        yield batch.column("dense_id").to_numpy()


def _stored(where: Where) -> pads.Expression:
    """What Arrow compares itself; null, as a price, is neither below nor above."""
    wanted = pads.field("available")
    if where.min_price is not None:
        wanted &= pads.field("price") >= where.min_price
    if where.max_price is not None:
        wanted &= pads.field("price") <= where.max_price
    return wanted


def _fits(texts: pa.Array, test: Callable[[str], bool]) -> pa.BooleanArray:
    """(N,) whether each text fits; null fits nothing."""
    encoded = texts.dictionary_encode(null_encoding="encode")
    fits = np.array([text is not None and test(text) for text in encoded.dictionary.to_pylist()], dtype=bool)
    return pa.array(fits[encoded.indices.to_numpy()])


def _normalised(flag: str, texts: Iterable[str], norm: Callable[[str], str]) -> tuple[str, ...]:
    found = set()
    for text in (texts,) if isinstance(texts, str) else texts:
        found.add(value := norm(text))
        if not value:
            raise ConfigError(f"{flag} {shown(text)!r}: nothing is left after normalisation; expected a name")
    return tuple(sorted(found))
