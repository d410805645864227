from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmse_model.attributes import attribute_tokens, category_tokens, price_bucket
from mmse_model.config import AttributeSettings, GrainSettings, GrainsSettings
from mmse_model.grains import GrainLayout, Grains
from mmse_model.hashing import fnv1a, hash_tokens
from mmse_model.text import normalise
from mmse_model.tokens import tokenise

SMALL = GrainsSettings(
    word=GrainSettings(bins=10, query_length=3, item_length=4),
    bigram=GrainSettings(bins=20, query_length=2, item_length=3),
    trigram=GrainSettings(bins=30, query_length=5, item_length=6),
    attribute=AttributeSettings(bins=40, item_length=5, price_buckets=4),
)


def spelled(text: str, grain: str) -> list[str]:
    tokens = tokenise([normalise(text)])[grain]
    return tokens.spell(np.arange(len(tokens.owners)))


def test_the_hash_is_the_published_fnv1a() -> None:
    data = np.frombuffer(b"afoobar", np.uint8)
    got = fnv1a(data, np.array([0, 1, 0]), np.array([1, 6, 0]))
    assert [hex(h) for h in got] == ["0xaf63dc4c8601ec8c", "0x85944171f73967e8", "0xcbf29ce484222325"]


def plain_hash(token: str) -> int:
    """The specification in mmse_model/hashing.py, followed byte by byte."""
    mask, h = 2**64 - 1, 14695981039346656037
    for byte in token.encode():
        h = ((h ^ byte) * 1099511628211) & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = ((h ^ (h >> 33)) * factor) & mask
    return h ^ (h >> 33)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_the_array_hash_follows_its_written_specification(tokens: list[str]) -> None:
    assert hash_tokens(tokens).tolist() == [plain_hash(t) for t in tokens]


@pytest.mark.parametrize(
    ("text", "words", "bigrams", "trigrams"),
    [
        ("USB-C hub", ["usb", "c", "hub"], ["usb c", "c hub"], ["<us", "usb", "sb>", "<c>", "<hu", "hub", "ub>"]),
        ("数码", ["数码"], [], ["<数码", "数码>"]),
        ("हिन्दी", ["हिन्दी"], [], ["<हि", "हिन", "िन्", "न्द", "्दी", "दी>"]),
        ("🎥\ufe0f 4k", ["4k"], [], ["<4k", "4k>"]),
        ("a_b", ["a", "b"], ["a b"], ["<a>", "<b>"]),
        ("🎉 !!", [], [], []),
        ("", [], [], []),
    ],
)
def test_a_text_is_cut_into_words_bigrams_and_trigrams(
    text: str, words: list[str], bigrams: list[str], trigrams: list[str]
) -> None:
    assert [spelled(text, g) for g in ("word", "bigram", "trigram")] == [words, bigrams, trigrams]


def plain_tokens(text: str) -> dict[str, list[str]]:
    """The definition in mmse_model/tokens.py, one character at a time."""
    words, current = [], ""
    for c in normalise(text) + " ":
        kind = unicodedata.category(c)[0]
        if kind in "LN" or (kind == "M" and current):
            current += c
        elif kind != "M":
            words, current = [*words, current] if current else words, ""
    padded = [f"<{w}>" for w in words]
    return {"word": words, "bigram": [f"{a} {b}" for a, b in zip(words, words[1:])],
            "trigram": [p[n : n + 3] for p in padded for n in range(len(p) - 2)]}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("aé数 -\u0301_🎥9\n") | st.characters()), max_size=5))
def test_the_array_tokens_follow_their_written_definition(texts: list[str]) -> None:
    expected = [plain_tokens(t) for t in texts]
    for grain, tokens in tokenise([normalise(t) for t in texts]).items():
        everything = tokens.spell(np.arange(len(tokens.owners)))
        assert everything == [t for e in expected for t in e[grain]]
        assert tokens.owners.tolist() == [n for n, e in enumerate(expected) for _ in e[grain]]
        assert tokens.hashes.tolist() == hash_tokens(everything).tolist()


def odd_strings(n: int) -> list[str]:
    rng = random.Random(3)
    alphabets = ("abc xyz", "数码相机电子", "🎥🎉👨‍👩‍👧 ", "абв где", "العربية ", "é\u0301ﬁ①Ａ ", "_-.,/ \t\n\x00",
                 "हिन्दी ")
    made = []
    for _ in range(n - 3):
        made.append("".join(rng.choices(rng.choice(alphabets) + rng.choice(alphabets), k=rng.randrange(40))))
    return [*made, "", "x" * 10_000, "数 " * 10_000]


def test_one_by_one_and_all_at_once_give_the_same_ids_for_10000_odd_strings() -> None:
    texts = odd_strings(10_000)
    grains = Grains.build({"word": ["abc"], "trigram": ["<数>", "abc"]}, SMALL)
    together = grains.query_ids(texts)
    assert together.shape == (10_000, 10)
    assert np.array_equal(together[:300], np.concatenate([grains.query_ids([t]) for t in texts[:300]]))
    assert np.array_equal(together[-300:], np.concatenate([grains.query_ids([t]) for t in texts[-300:]]))
    assert np.array_equal(together[9_000:], grains.query_ids(texts[9_000:]))
    assert together.min() >= 0
    assert together.max() < grains.layout.table_rows
    items = grains.item_ids(texts, texts, texts, texts, range(10_000))
    alone = [grains.item_ids([t], [t], [t], [t], [n]) for n, t in enumerate(texts[:300])]
    assert np.array_equal(items[:300], np.concatenate(alone))


def test_a_known_token_has_a_row_of_its_own_and_any_other_one_a_bin_of_its_grain() -> None:
    grains = Grains.build({"word": ["usb", "hub"], "bigram": ["usb hub"]}, SMALL)
    # rows: 0 padding; words 1-2, bins 3-12; bigrams 13, bins 14-33; trigram bins 34-63; attribute bins 64-103
    row = grains.query_ids(["hub usb hub odd"])[0]
    layout = grains.layout
    assert row[layout.query["word"]].tolist() == [2, 1, 2]  # the fourth word is past the length
    first, second = row[layout.query["bigram"]].tolist()
    assert first == 14 + plain_hash("hub usb") % 20
    assert second == 13
    trigrams = ("<hu", "hub", "ub>", "<us", "usb")
    assert row[layout.query["trigram"]].tolist() == [34 + plain_hash(t) % 30 for t in trigrams]
    assert layout.table_rows == 104


def test_the_query_side_has_no_attribute_grain_and_an_item_has() -> None:
    grains = Grains.build({"attribute": ["brand=acme", "cat=a > b > c"]}, SMALL)
    assert list(grains.layout.query) == ["word", "bigram", "trigram"]
    row = grains.item_ids(["x"], [" ACME "], ["A > B > C"], [None], [5.0])[0]
    start = grains.layout.ranges["attribute"].start
    # five ids: brand, price bucket 3 (4 to 8), then the two deepest levels; no shop leaves no hole
    expected = [start, start + 2 + plain_hash("price=3") % 40, start + 2 + plain_hash("cat=a > b") % 40, start + 1, 0]
    assert row[grains.layout.item["attribute"]].tolist() == expected


def test_attributes_that_are_missing_leave_no_token() -> None:
    prices = [None, 0.0, float("nan")]
    found = attribute_tokens([None, "", "\u200b"], [None, " > ", "A"], ["s", None, None], prices, 5, 16)
    assert found.tokens == ["shop=s", "cat=a"]
    assert found.rows.tolist() == [[0, -1, -1, -1, -1], [-1] * 5, [1, -1, -1, -1, -1]]


def test_a_category_level_is_known_by_its_whole_path() -> None:
    assert category_tokens("Home >Kitchen> Mugs") == ["cat=home", "cat=home > kitchen", "cat=home > kitchen > mugs"]


def test_price_buckets_double_from_one_and_the_last_is_open() -> None:
    assert price_bucket([0.5, 1, 1.99, 2, 4, 1e9, -1, None], 4).tolist() == [0, 1, 1, 2, 3, 3, -1, -1]


def test_a_saved_vocabulary_gives_the_same_ids(tmp_path: Path) -> None:
    grains = Grains.build({"word": ["数码", "hub"], "bigram": ["a b"]}, SMALL)
    grains.save(tmp_path / "vocabulary.json")
    again = Grains.load(tmp_path / "vocabulary.json")
    assert again == grains
    assert np.array_equal(again.query_ids(["hub 数码 a b"]), grains.query_ids(["hub 数码 a b"]))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2, "tokens": {}, "settings": {}}',
                                     '{"format": 1, "tokens": {"word": 3}, "settings": {}}'])
def test_a_file_that_is_no_vocabulary_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="v.json: not a vocabulary file"):
        Grains.load(path)


def test_a_token_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="word 'a' and 'a' have one hash"):
        Grains.build({"word": ["a", "b", "a"]}, SMALL)


def test_a_layout_survives_json() -> None:
    layout = Grains.build({"word": ["a"]}, SMALL).layout
    assert GrainLayout.from_json(layout.to_json()) == layout
