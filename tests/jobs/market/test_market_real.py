"""A market over a real catalogue: what is refused, and that the whole feed is made of its products."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jobs.market import real
from jobs.market.config import CatalogueSettings
from jobs.runtime.config import Config
from jobs.runtime.errors import InputError
from jobs.runtime.job import run_job
from jobs.simulate_market import JOB

GOOD = {"id": "A-1", "title": "HP Optical Mouse", "brand": "HP", "price": "1999"}


def written(tmp_path: Path, *rows: dict[str, Any]) -> CatalogueSettings:
    path = tmp_path / "products.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return CatalogueSettings(file=str(path), price_unit=0.01)


def test_products_are_read_with_their_own_ids_and_prices_in_units(spark: Any, tmp_path: Path) -> None:
    (row,) = real.products(spark, written(tmp_path, GOOD)).collect()
    assert row.asDict() == {"item_id": "A-1", "title": "HP Optical Mouse", "brand": "HP", "category": None, "price": 19.99}


@pytest.mark.parametrize(("rows", "message"), [
    ([GOOD, {**GOOD, "id": "A-2", "price": "free"}], "1 products without price"),
    ([{**GOOD, "title": " "}], "1 products without title"),
    ([{**GOOD, "brand": None}], "1 products without brand"),
    ([GOOD, GOOD], "id = 'A-1' stands 2 times"),
])
def test_what_no_shop_can_sell_is_refused(spark: Any, tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        real.products(spark, written(tmp_path, *rows))


def test_a_file_that_is_not_there_is_named(spark: Any) -> None:
    with pytest.raises(InputError, match="no/such.jsonl"):
        real.products(spark, CatalogueSettings(file="no/such.jsonl"))


def test_shoppers_search_for_real_titles_and_are_shown_real_products(spark: Any, tmp_path: Path) -> None:
    nouns, kinds, brands = ("mouse", "cable", "printer", "lamp"), ("optical", "laser", "travel"), ("HP", "Dell", "Sony", "Acer")
    rows = [
        {"id": f"{noun}-{kind}-{brand}-{n}", "title": f"{brand} {kind} {noun} {n}0w", "brand": brand, "price": 10 + n}
        for noun in nouns for kind in kinds for brand in brands for n in range(3)
    ]
    source = written(tmp_path, *rows)
    config = Config.model_validate({
        "paths": {name: str(tmp_path / name) for name in ("raw", "warehouse", "reports")},
        "market": {"catalogue": source.model_dump(), "items": 1_000, "requests": 300, "days": 3, "files_per_day": 1},
        "tuples": {"validation_days": 1, "test_days": 1}, "train": {"window_days": 3},
        "spark": {"driver_memory": "1g", "shuffle_partitions": 2},
    })
    run_job(JOB, config, date(2026, 1, 8), lambda: spark)
    feed = spark.read.json(str(tmp_path / "raw" / "dt=*" / "queries-*.json.gz"))
    hits = {hit for row in feed.select("query_response_hit_ids").collect() for hit in row[0] or []}
    assert len(hits) > 50 and hits <= {row["id"] for row in rows}
    texts = " ".join(row[0] or "" for row in feed.select("user_query").collect())
    assert all(noun in texts for noun in nouns)
    catalogue = spark.read.json(str(tmp_path / "raw" / "dt=*" / "catalogue-*.json.gz"))
    assert {row[0] for row in catalogue.select("title").distinct().collect()} <= {row["title"] for row in rows}
