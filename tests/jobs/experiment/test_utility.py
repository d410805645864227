"""What is read of the truth: the pairs that were retrieved, whatever the blocks, and nothing of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.experiment import utility
from jobs.experiment.utility import NO_ITEM, item_numbers, pair_of, read_utility
from jobs.runtime.errors import InputError


def write_truth(folder: Path, **without: object) -> list[Path]:
    """Intents 1 and 2 with items 0 to 9, in two files: clicked with intent / 10 + item / 100, ordered with half of it."""
    paths = []
    for number, items in enumerate((range(9, 4, -1), range(5))):
        rows = [(intent, item) for intent in (2, 1) for item in items]
        click = [intent / 10 + item / 100 for intent, item in rows]
        table = pa.table({
            "intent_id": [intent for intent, _ in rows], "object_id": [f"p{item:010d}" for _, item in rows],
            "relevance": [1.0] * len(rows), "click_probability": click, "order_probability": [c / 2 for c in click],
            "ranker_score": [float(item) for _, item in rows],
        })
        paths.append(folder / f"{number}.parquet")
        pq.write_table(table.drop_columns(list(without)), paths[-1])
    return paths


@pytest.mark.parametrize("rows", [3, 1_000])
def test_the_wanted_pairs_are_found_and_others_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(utility, "ROWS", rows)
    wanted = np.unique(pair_of(np.array([1, 1, 2, 3]), np.array([3, 99, 7, 7])))
    found = read_utility(write_truth(tmp_path), wanted)
    assert found.pairs.tolist() == pair_of(np.array([1, 2]), np.array([3, 7])).tolist()
    assert found.click == pytest.approx([0.13, 0.27])
    assert found.order == pytest.approx([0.065, 0.135])
    assert found.score == pytest.approx([3, 7])


def test_a_pair_is_known_or_not_and_no_item_never_is(tmp_path: Path) -> None:
    items = np.array([[3, 99, NO_ITEM], [3, 0, 9]])
    intents = np.array([[1], [2]])
    found = read_utility(write_truth(tmp_path), np.unique(pair_of(intents, items)))
    place, known = found.find(intents, items)
    assert known.tolist() == [[True, False, False], [True, True, True]]
    assert found.click[place[known]] == pytest.approx([0.13, 0.23, 0.2, 0.29])


def test_nothing_retrieved_is_nothing_known(tmp_path: Path) -> None:
    empty = read_utility(write_truth(tmp_path), np.empty(0, np.int64))
    assert not empty.find(np.array([1]), np.array([3]))[1].any()


def test_a_truth_from_before_the_score_was_published_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column ranker_score; run simulate_market again"):
        read_utility(write_truth(tmp_path, ranker_score=None), np.array([1]))


def test_names_of_another_catalogue_are_refused() -> None:
    assert item_numbers(pa.array(["p0000000017", "p0000000000"])).tolist() == [17, 0]
    with pytest.raises(InputError, match="B00X: no names of the simulated market"):
        item_numbers(pa.array(["B00X"]))
