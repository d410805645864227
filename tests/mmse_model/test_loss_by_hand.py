"""L = L_retrieval + rank_weight L_rank + title_weight L_title, written out item by item, with any stage empty."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.config import ObjectiveSettings
from mmse_model.loss import Objective
from mmse_model.ranks import Ranks
from mmse_model.towers import TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, random_batch, two_rows

CATALOGUE = 12
SLOTS = {"unclicked": (0, 1), "clicked": (2,), "ordered": (3,)}
LEVEL = {"unclicked": 1, "clicked": 2, "ordered": 3}
MARGIN = {1: 0.1, 2: 0.1 + 0.2, 3: 0.1 + 0.2 + 0.3}
"""Of each level above the random items."""
RANDOM = 2
WEIGHT = {"clicked": 1.0, "ordered": 4.0}
TEMPERATURE, RANK, TITLE = 0.5, 0.7, 0.3


@dataclass(frozen=True)
class Plain:
    """A batch as Python values, and its scores."""

    rows: list[dict[str, list[int]]]
    """Stage -> its items."""
    known: list[set[int]]
    stream: list[int]
    worded: list[bool]
    score: list[dict[int, float]]
    """Of each row with each item."""
    title_score: list[dict[int, float]]

    def own(self, row: int) -> set[int]:
        """What is no negative of a row."""
        return {item for items in self.rows[row].values() for item in items} | self.known[row]

    def positives(self) -> Iterator[tuple[int, str, int]]:
        """(row, stage, item)."""
        for number, row in enumerate(self.rows):
            yield from ((number, stage, item) for stage in WEIGHT for item in row[stage])


def rates(item: int) -> tuple[float, float]:
    """Share and probability: they differ from item to item and add up to 1."""
    return (item + 1) / 78, (CATALOGUE - item) / 78


def batch_without(stages: tuple[str, ...]) -> Batch:
    """A random batch whose slots of these stages are empty, with the rates above."""
    batch = random_batch(5, rows=8, stream=7, catalogue=CATALOGUE)
    dense = batch.dense_ids.clone()
    dense[:, [slot for stage in stages for slot in SLOTS[stage]]] = -1
    titles = batch.stream_title_queries.clone()
    titles[2] = 0  # a title without a word is no pair
    table = torch.tensor([rates(item) for item in range(CATALOGUE)])
    return replace(
        batch, dense_ids=dense, shares=table[dense.clamp_min(0)], stream_title_queries=titles,
        stream_share=table[batch.stream_ids, 0], stream_probability=table[batch.stream_ids, 1],
    )


def plain(batch: Batch, model: TwoTower) -> Plain:
    catalogue = {int(i): row for i, row in zip(batch.stream_ids, batch.stream_items)}
    catalogue |= {int(i): batch.items[b, s] for b, ids in enumerate(batch.dense_ids) for s, i in enumerate(ids) if i >= 0}
    vectors = {item: model.encode_items(row[None])[0] for item, row in catalogue.items()}

    def scores(queries: torch.Tensor) -> list[dict[int, float]]:
        return [{i: float(q @ v) for i, v in vectors.items()} for q in model.encode_queries(queries)]

    return Plain(
        rows=[{stage: [int(ids[s]) for s in slots if ids[s] >= 0] for stage, slots in SLOTS.items()} for ids in batch.dense_ids],
        known=[{int(i) for i in ids if i >= 0} for ids in batch.known_positives], stream=batch.stream_ids.tolist(),
        worded=[bool(q.any()) for q in batch.stream_title_queries], score=scores(batch.query),
        title_score=scores(batch.stream_title_queries),
    )


def softmax(scores: dict[int, float], item: int, excluded: set[int], p: Plain) -> float:
    """-log of the item's part of the sum over it and all candidates that are not excluded, each m / c times."""
    drawn = [i for _, _, i in p.positives()]
    total = math.exp(scores[item] / TEMPERATURE)
    for other, times in Counter([*drawn, *p.stream]).items():
        share, probability = rates(other)
        if other not in excluded:
            expected = len(drawn) * share + len(p.stream) * probability
            total += times / expected * math.exp(scores[other] / TEMPERATURE)
    return math.log(total) - scores[item] / TEMPERATURE


def retrieval(p: Plain) -> float:
    losses = [(WEIGHT[stage], softmax(p.score[row], item, p.own(row), p)) for row, stage, item in p.positives()]
    return sum(w * loss for w, loss in losses) / sum(w for w, _ in losses) if losses else 0.0


def rank(p: Plain) -> float:
    requests = []
    for number, row in enumerate(p.rows):
        drawn = [p.stream[(number * RANDOM + n) % len(p.stream)] for n in range(RANDOM)]
        levelled = [(0, item) for item in drawn if item not in p.own(number)]
        levelled += [(LEVEL[stage], item) for stage, items in row.items() for item in items]
        pairs = [
            max(0.0, MARGIN[high] - MARGIN.get(low, 0.0) - (p.score[number][a] - p.score[number][b]))
            for high, a in levelled for low, b in levelled if high > low
        ]
        requests += [sum(pairs) / len(pairs)] if pairs else []
    return sum(requests) / len(requests) if requests else 0.0


def title(p: Plain) -> float:
    losses = [softmax(p.title_score[n], item, {item}, p) for n, item in enumerate(p.stream) if p.worded[n]]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    "empty", [(), ("unclicked",), ("clicked",), ("ordered",), ("unclicked", "clicked"), ("clicked", "ordered"), tuple(SLOTS)],
)
@torch.no_grad()
def test_the_loss_with_these_stages_empty_is_the_loss_written_by_hand(empty: tuple[str, ...]) -> None:
    """E9: an empty stage is no error and no term."""
    torch.manual_seed(1)
    model, batch = TwoTower(LAYOUT, SMALL), batch_without(empty)
    ordered = STAGES[3].model_copy(update={"weight": WEIGHT["ordered"]})
    stages = (STAGES[0].model_copy(update={"per_tuple": RANDOM}), *STAGES[1:3], ordered)
    settings = ObjectiveSettings(temperature=TEMPERATURE, rank_weight=RANK, title_weight=TITLE)
    found = Objective(stages, settings)(model, batch, Ranks())
    p = plain(batch, model)
    expected = {"retrieval": retrieval(p), "rank": rank(p), "title": title(p)}
    for name, value in expected.items():
        assert found.parts[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    total = expected["retrieval"] + RANK * expected["rank"] + TITLE * expected["title"]
    assert found.total.item() == pytest.approx(total, rel=1e-5)
    assert (expected["retrieval"] == 0) == ({"clicked", "ordered"} <= set(empty))


@torch.no_grad()
def test_two_rows_by_hand_with_their_numbers() -> None:
    """Clicked 1 and 5, ordered 2, stream 5, 7, 7; every expected count is (3 + 3) / 12."""
    torch.manual_seed(1)
    model, batch = TwoTower(LAYOUT, SMALL), two_rows()
    p = plain(batch, model)

    def e(row: int, item: int) -> float:
        return math.exp(p.score[row][item] / TEMPERATURE)

    rest = [(e(0, 2) + 2 * e(0, 7)) / 0.5, e(1, 1) / 0.5]
    chosen = [(0, 1), (1, 5), (1, 2)]
    expected = sum(-math.log(e(r, i) / (e(r, i) + rest[r])) for r, i in chosen) / 3
    found = Objective(STAGES, ObjectiveSettings(temperature=TEMPERATURE))(model, batch, Ranks()).parts["retrieval"]
    assert found == pytest.approx(expected, rel=1e-5)
