"""What is read out of real titles: nouns, kinds, attributes."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import functions as F

from jobs.market.titles import phrases_of, with_attributes, with_nouns, words_of

# Six items of six brands are mice; what else they say differs.
MICE = [
    (f"m{n}", brand, f"{brand} {kind} Mouse {extra}")
    for n, (brand, kind, extra) in enumerate([
        ("HP", "Optical", "USB"), ("Dell", "Optical", "USB"), ("Sony", "Optical", "black"), ("Acer", "Laser", "USB"),
        ("Asus", "Laser", "black"), ("Trust", "Optical", "Z9"),
    ])
]


def spelled(spark: Any, rows: list[tuple[str, str, str]]) -> Any:
    frame = spark.createDataFrame(rows, "item_id string, brand string, title string")
    return frame.withColumn("words", words_of(F.col("title"), F.col("brand")))


def test_words_are_lower_case_without_the_brands_and_single_characters(spark: Any) -> None:
    row = spelled(spark, [("1", "Tripp Lite", 'Tripp Lite 15-ft. Cat6 UTP x Patch (RJ45) Café')]).first()
    assert row["words"] == ["15", "ft", "cat6", "utp", "patch", "rj45", "café"]


def test_phrases_are_nominal_words_and_pairs_of_neighbours(spark: Any) -> None:
    phrases = spelled(spark, [("1", "HP", "Black laser printer 4520 paper tray")]).select(phrases_of(F.col("words"))).first()[0]
    assert phrases == ["laser", "printer", "paper", "tray", "laser printer", "paper tray"]


def test_the_noun_is_what_most_brands_say_and_else_the_brand(spark: Any) -> None:
    items = spelled(spark, [*MICE, ("x", "Lego", "Lego Thing")])
    nouns = {row["item_id"]: row["noun"] for row in with_nouns(items, 200).collect()}
    assert nouns == {**{f"m{n}": "mouse" for n in range(6)}, "x": "lego"}


def test_the_kind_is_the_commonest_word_beside_the_noun_and_rare_words_are_nothing(spark: Any) -> None:
    items = with_nouns(spelled(spark, MICE), 200)
    rows = {row["item_id"]: row.asDict() for row in with_attributes(items).collect()}
    assert [rows[f"m{n}"]["kind"] for n in range(6)] == ["optical", "optical", "optical", "usb", "laser", "optical"]
    words = [sorted(filter(None, (rows[f"m{n}"][f"value{slot}"] for slot in range(3)))) for n in range(6)]
    assert words == [["usb"], ["usb"], ["black"], ["laser"], ["black"], []]
    assert len({slot for n in (0, 1) for slot in range(3) if rows[f"m{n}"][f"value{slot}"] == "usb"}) == 1


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_partitions_change_nothing(spark: Any, partitions: int) -> None:
    items = spelled(spark, MICE).repartition(partitions)
    rows = with_attributes(with_nouns(items, 200)).orderBy("item_id").select("item_id", "noun", "kind").collect()
    assert [tuple(row) for row in rows][:2] == [("m0", "mouse", "optical"), ("m1", "mouse", "optical")]
