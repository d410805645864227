from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from jobs.item_filter import Where
from jobs.release_reader import Hit
from jobs.runtime.errors import ConfigError
from jobs.search_command import add_arguments, json_lines, queries_of, text_lines, where_of

HIT = Hit(1, 0.5, "o1", "USB cable", None, None, {"word": 0.75, "attribute": -0.25})


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_a_file_gives_one_query_a_line_without_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_text("usb cable\n\n  kabel ø \n", encoding="utf-8")
    assert queries_of(parsed("--file", str(tmp_path / "queries.txt"))) == ["usb cable", "kabel ø"]
    assert queries_of(parsed("usb")) == ["usb"]


def test_queries_come_from_one_place() -> None:
    for arguments in ((), ("usb", "--file", "queries.txt")):
        with pytest.raises(ConfigError, match="a query or --file, one of the two"):
            queries_of(parsed(*arguments))


def test_a_file_without_a_query_or_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name, sentence in (("empty.txt", "no query"), ("binary.txt", "cannot be read"), ("absent.txt", "cannot be read")):
        with pytest.raises(ConfigError, match=f"{name}: {sentence}"):
            queries_of(parsed("--file", str(tmp_path / name)))


def test_flags_say_which_items_may_be_found() -> None:
    flags = ("--brand", "Anker", "--brand", "Ugreen", "--category", "Electronics/Cables", "--shop", "X")
    assert where_of(parsed("usb", *flags, "--min-price", "5", "--max-price", "20.5")) == Where(
        ["anker", "ugreen"], ["electronics > cables"], ["x"], 5, 20.5
    )
    assert where_of(parsed("usb")) == Where()


@pytest.mark.parametrize(("flags", "sentence"), [
    (("--min-price", "9", "--max-price", "5"), "--min-price 9.0: expected at most --max-price, 5.0"),
    (("--min-price", "nan"), "--min-price nan: expected a price of at least 0"),
    (("--max-price", "-1"), "--max-price -1.0: expected a price of at least 0"),
    (("--brand", ""), "--brand '': nothing is left"),
])
def test_flags_that_cannot_be_meant_are_named(flags: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        where_of(parsed("usb", *flags))


def test_an_explained_hit_has_a_second_line_that_adds_up() -> None:
    assert list(text_lines("usb", [HIT]))[1:] == [
        f"  1   0.500  {'o1':<12} {'':>10}  USB cable", "     =  0.500  word +0.750  attribute -0.250"
    ]


def test_json_is_one_object_a_query_with_grains_only_where_asked_for() -> None:
    plain = Hit(1, 0.5, "o1", "Käse", "b", 9.5)
    (line,) = json_lines("käse", [plain, HIT])
    first, second = json.loads(line)["hits"]
    assert "Käse" in line and "grains" not in first
    assert (first["price"], second["grains"]) == (9.5, {"word": 0.75, "attribute": -0.25})
