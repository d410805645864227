"""`mmse search` with filters over a small release: beside every item's score, computed by the model itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from jobs.cli import main
from jobs.item_filter import Where
from jobs.release_reader import open_release, search_release
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext
from tests.jobs.published import item_rows
from tests.jobs.released import ITEMS

Row = tuple[Any, ...]
BRAND, CATEGORY, SHOP, PRICE, AVAILABLE = 4, 5, 6, 7, 8


@pytest.fixture
def config(released: JobContext) -> Config:
    return released.config


def expected(config: Config, text: str, k: int, fits: Any) -> list[float]:
    """Inner products of the k best of those items that are available and fit."""
    items = [row for row in item_rows(ITEMS) if row[AVAILABLE] and fits(row)]
    encoder = open_release(config).retriever.encoder
    vectors = encoder.encode_items(*([i[n] for i in items] for n in (3, BRAND, CATEGORY, SHOP, PRICE)))
    return np.sort(vectors @ encoder.encode_queries([text])[0])[::-1][:k].tolist()


@pytest.mark.parametrize(("where", "fits"), [
    (Where("ACME"), lambda row: row[BRAND] == "Acme"),
    (Where(shops=["Shop 1", "shop 2"]), lambda row: row[SHOP] != "shop 0"),
    (Where(categories="cables"), lambda row: True),
    (Where(min_price=2, max_price=2.4), lambda row: row[PRICE] is not None and 2 <= row[PRICE] <= 2.4),
    (Where("acme", "Cables/USB", "shop 1", max_price=5), lambda row: row[BRAND] and row[SHOP] == "shop 1" and row[PRICE] and row[PRICE] <= 5),
    (Where("Nobody"), lambda row: False),
], ids=str)
def test_the_best_of_what_matches(config: Config, where: Where, fits: Any) -> None:
    by_id = {row[0]: row for row in item_rows(ITEMS)}
    for k in (5, 1000):
        hits = open_release(config).search("usb 3", k, where=where)
        assert [hit.score for hit in hits] == pytest.approx(expected(config, "usb 3", k, fits) if hits else [], abs=1e-5)
        assert len(hits) == min(k, sum(bool(row[AVAILABLE] and fits(row)) for row in by_id.values()))
        assert all(fits(by_id[hit.object_id]) and by_id[hit.object_id][AVAILABLE] for hit in hits)


def test_what_is_kept_of_a_filter_answers_the_same(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, where = open_release(config), Where("acme")
    before = opened.search_many(["usb 3", "cable"], 4, where=where)
    monkeypatch.setattr("jobs.release_reader.matching_ids", None)  # it is not looked up again
    assert opened.search_many(["usb 3", "cable"], 4, where=Where(["ACME"])) == before


def test_no_condition_is_no_filter(config: Config) -> None:
    assert search_release(config, ["usb 3"], 5, where=Where()) == search_release(config, ["usb 3"], 5)


def test_the_command_takes_the_flags(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    command = ["search", "usb 3", "--config", str(tmp_path / "shop.yaml"), "--json"]
    assert main([*command, "--brand", "acme", "--max-price", "1.7", "--category", "cables/usb"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    # Acme's are the odd numbers, 0.1 a number; every fifth has no price and every seventh, 13 first of these, is not available.
    assert sorted(hit["object_id"] for hit in hits) == sorted(f"o{n}" for n in (1, 3, 7, 9, 11, 17))
    assert main([*command, "--brand", "nobody"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"] == []
    assert main([*command, "--min-price", "3", "--max-price", "1"]) == 2
    assert "--min-price 3.0: expected at most --max-price, 1.0" in capsys.readouterr().err
