"""Which items match a filter: beside a plain loop over the rows, and what is refused."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.item_filter import Where, category_of, matching_ids
from jobs.runtime.errors import ConfigError
from schemas import ITEMS

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def write_items(folder: Path, rows: list[dict[str, Any]], files: int = 2) -> list[Path]:
    """Rows of `items` in so many files, row groups of two; dense ids count from 0."""
    full = [
        {"object_id": f"o{n}", "dense_id": n, "title": "t", "available": True, "valid_from": START, **row}
        for n, row in enumerate(rows)
    ]
    paths = []
    for number, part in enumerate(np.array_split(np.arange(len(full)), files)):
        paths.append(folder / f"part-{number}.parquet")
        table = pa.Table.from_pylist([full[n] for n in part], schema=ITEMS.arrow_schema())
        pq.write_table(table, paths[-1], row_group_size=2)
    return paths


def matches(files: list[Path], where: Where) -> list[int]:
    return sorted(n for ids in matching_ids(files, where) for n in ids.tolist())


SHOP = [
    {"brand": "Anker", "category_path": "Electronics > Cables > USB", "shop": "A", "price": 5.0},
    {"brand": "ANKER", "category_path": "Electronics > Cables", "shop": "B", "price": 20.0},
    {"brand": "Ugreen", "category_path": "Electronics > Cablesets", "shop": "A", "price": None},
    {"brand": None, "category_path": None, "shop": None, "price": 0.0},
    {"brand": "Anker", "category_path": "Cables", "shop": "A", "price": 5.0, "available": False},
    {"brand": "Ａnker ", "category_path": "electronics>CABLES > Audio/Video", "shop": "A", "price": 20.01},
]


@pytest.mark.parametrize(("where", "expected"), [
    (Where(), [0, 1, 2, 3, 5]),
    (Where(brands="anker"), [0, 1, 5]),
    (Where(brands=["Ugreen", "ANKER"]), [0, 1, 2, 5]),
    (Where(shops=["a"]), [0, 2, 5]),
    (Where(categories="Electronics/Cables"), [0, 1, 5]),
    (Where(categories="electronics > cables > usb"), [0]),
    (Where(categories=["Electronics > Cablesets", "Electronics/Cables/USB"]), [0, 2]),
    (Where(categories="Electronics > Cables > Audio/Video"), [5]),
    (Where(categories="Cables"), []),  # the middle of a path is not its beginning; what lies at its top is not available
    (Where(categories="Electronics/Cab"), []),  # a level is matched as a whole
    (Where(min_price=5), [0, 1, 5]),
    (Where(max_price=5), [0, 3]),
    (Where(min_price=5, max_price=20), [0, 1]),
    (Where(brands="Anker", shops="A", max_price=5), [0]),
    (Where(brands="Nobody"), []),
], ids=str)
def test_items_that_match(tmp_path: Path, where: Where, expected: list[int]) -> None:
    assert matches(write_items(tmp_path, SHOP), where) == expected


TEXT = st.sampled_from([None, "A", "a", "B", "Ａ", "A B"])
LEVELS = st.lists(st.sampled_from(["A", "a", "B"]), min_size=1, max_size=3)
PRICE = st.sampled_from([None, 0.0, 1.5, 2.0])
ROW = st.fixed_dictionaries({
    "brand": TEXT, "shop": TEXT, "category_path": st.none() | LEVELS.map(" > ".join), "price": PRICE, "available": st.booleans(),
})
WANTED = st.lists(st.sampled_from(["a", "b", "A b"]), max_size=2)


@given(
    rows=st.lists(ROW, min_size=1, max_size=9), brands=WANTED, shops=WANTED, categories=st.lists(LEVELS, max_size=2),
    low=PRICE, high=PRICE,
)
def test_matching_is_what_a_loop_over_the_rows_finds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], brands: list[str], shops: list[str],
    categories: list[list[str]], low: float | None, high: float | None,
) -> None:
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    folded = {None: None, "A": "a", "a": "a", "B": "b", "Ａ": "a", "A B": "a b", "b": "b", "A b": "a b"}

    def fits(row: dict[str, Any]) -> bool:
        path = [folded[level] for level in row["category_path"].split(" > ")] if row["category_path"] else []
        price, wanted = row["price"], [[folded[level] for level in levels] for levels in categories]
        return row["available"] and all((
            not brands or folded[row["brand"]] in [folded[b] for b in brands],
            not shops or folded[row["shop"]] in [folded[s] for s in shops],
            not wanted or any(path[: len(levels)] == levels for levels in wanted),
            low is None or (price is not None and price >= low), high is None or (price is not None and price <= high),
        ))

    where = Where(brands, ["/".join(levels) for levels in categories], shops, low, high)
    files = write_items(tmp_path_factory.mktemp("items"), rows, files=min(2, len(rows)))
    assert matches(files, where) == [n for n, row in enumerate(rows) if fits(row)]


def test_the_same_filter_in_other_words_is_equal() -> None:
    one = Where(["Anker", "ugreen", "ANKER"], "Electronics / Cables", " Shop  A")
    other = Where(("Ugreen", "anker"), ["electronics > cables"], ["shop a"])
    assert one == other and hash(one) == hash(other)
    assert one != Where(one.brands, one.categories, one.shops, min_price=0)
    assert Where(one.brands, one.categories, one.shops) == one  # what was normalised once stays as it is


@pytest.mark.parametrize(("text", "category"), [
    ("A/B", "a > b"), ("A > B", "a > b"), ("A>B/C", "a > b/c"), ("TV/Video >", "tv/video"), ("/A//B/", "a > b"), ("/", ""), (" > ", ""),
])
def test_a_category_is_parted_by_angle_brackets_or_else_by_slashes(text: str, category: str) -> None:
    assert category_of(text) == category


@pytest.mark.parametrize(("filters", "sentence"), [
    ({"brands": ["Anker", " \t"]}, r"--brand ' \\t': nothing is left after normalisation; expected a name"),
    ({"categories": "/"}, "--category '/': nothing is left"),
    ({"shops": ""}, "--shop '': nothing is left"),
    ({"min_price": float("nan")}, "--min-price nan: expected a price of at least 0"),
    ({"max_price": -0.01}, "--max-price -0.01: expected a price of at least 0"),
    ({"max_price": float("inf")}, "--max-price inf: expected a price of at least 0"),
    ({"min_price": 20.0, "max_price": 5.0}, "--min-price 20.0: expected at most --max-price, 5.0"),
])
def test_a_filter_that_cannot_be_meant_is_refused(filters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Where(**filters)
