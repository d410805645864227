"""BM25 by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.evaluation.lexical import LexicalIndex, words
from jobs.runtime.sections import LexicalSettings

DOCUMENTS = ["USB-C charger", "usb cable usb", "desk lamp", "lamp lamp shade"]
IDS = [10, 11, 12, 13]


def test_words_are_those_of_the_word_grain() -> None:
    assert words(["USB-C  Charger, 20W", "", None, "lamp"]) == [["usb", "c", "charger", "20w"], [], [], ["lamp"]]


def test_items_without_a_word_of_the_query_are_not_retrieved() -> None:
    index = LexicalIndex(DOCUMENTS, IDS, LexicalSettings())
    assert index.search(["charger lamp", "nothing known", ""], 4).tolist()[1:] == [[-1] * 4, [-1] * 4]
    assert set(index.search(["charger lamp"], 4)[0].tolist()) == {10, 12, 13, -1}


def test_scores_follow_lucenes_formula() -> None:
    settings = LexicalSettings(k1=1.2, b=0.75)
    engine = LexicalIndex(DOCUMENTS, IDS, settings).engine
    scores = engine.get_scores(["usb"])
    idf = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    mean_length = (3 + 3 + 2 + 3) / 4
    by_hand = [idf * tf / (tf + 1.2 * (0.25 + 0.75 * 3 / mean_length)) for tf in (1, 2)]
    assert scores.tolist() == pytest.approx([*by_hand, 0, 0], rel=1e-6)


def test_the_settings_change_the_ranking() -> None:
    documents = ["lamp lamp with a very long list of further words", "lamp"]
    by_length = LexicalIndex(documents, [1, 2], LexicalSettings(b=1.0)).search(["lamp"], 2)
    by_count = LexicalIndex(documents, [1, 2], LexicalSettings(b=0.0)).search(["lamp"], 2)
    assert (by_length.tolist(), by_count.tolist()) == ([[2, 1]], [[1, 2]])


def test_ties_at_the_last_place_are_decided_by_the_higher_id() -> None:
    ids = np.random.default_rng(1).permutation(50)
    index = LexicalIndex(["red lamp"] * 50, ids, LexicalSettings())
    assert index.search(["lamp"], 5).tolist() == [[49, 48, 47, 46, 45]]
