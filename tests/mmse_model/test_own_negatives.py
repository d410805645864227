"""Random items that one row alone is ranked above."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.config import ObjectiveSettings
from mmse_model.loss import Objective
from mmse_model.ranks import Ranks
from mmse_model.sampling import distinct_items
from mmse_model.towers import TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, random_batch, random_ids

POSITIVE = torch.tensor([False, False, True, True])


def with_own(batch: Batch, own: list[list[int]], catalogue: int = 40) -> Batch:
    """The batch with these dense ids as own negatives; -1 is none."""
    wanted = torch.tensor(own)
    items = random_ids("item", catalogue, torch.Generator().manual_seed(99))
    return replace(batch, negative_ids=wanted, negatives=items[wanted.clamp_min(0)] * (wanted >= 0)[:, :, None])


def loss_of(batch: Batch, own: int, **settings: float) -> dict[str, float]:
    torch.manual_seed(1)
    objective = Objective(STAGES, ObjectiveSettings(**settings), own=own)
    return objective(TwoTower(LAYOUT, SMALL), batch, Ranks()).parts


def test_an_own_negative_is_encoded_and_is_no_candidate() -> None:
    plain = random_batch(1, rows=2)
    batch = with_own(plain, [[30, -1], [31, 30]])
    items, before = distinct_items(batch, POSITIVE), distinct_items(plain, POSITIVE)
    assert items.candidates == before.candidates
    assert set(items.ids.tolist()) == {*before.ids.tolist(), 30, 31}
    assert items.ids[items.own[0, 0]] == items.ids[items.own[1, 1]] == 30
    place = int(items.own[1, 0])
    assert items.items[place].tolist() == batch.negatives[1, 0].tolist()


def test_an_item_that_stands_in_the_stream_too_keeps_its_rates_there() -> None:
    plain = random_batch(2, rows=2)
    drawn = int(plain.stream_ids[0])
    items = distinct_items(with_own(plain, [[drawn], [drawn]]), POSITIVE)
    place = int(items.own[0, 0])
    assert items.ids[place] == drawn
    assert float(items.probability[place]) == pytest.approx(1 / 12)


def test_own_negatives_enter_the_ranking_loss_and_no_other() -> None:
    plain = random_batch(3)
    batch = with_own(plain, [[20 + n] for n in range(plain.rows)])
    before, after = loss_of(plain, 0), loss_of(batch, 1)
    assert after["retrieval"] == pytest.approx(before["retrieval"])
    assert after["title"] == pytest.approx(before["title"])
    assert after["rank"] != pytest.approx(before["rank"])


def test_empty_own_negatives_change_nothing() -> None:
    plain = random_batch(4)
    empty = with_own(plain, [[-1, -1]] * plain.rows)
    assert loss_of(empty, 2) == pytest.approx(loss_of(plain, 0))


def test_the_ranking_loss_counts_an_own_negative_as_one_more_random_item() -> None:
    """One row, a click and one own negative, no stream item ranked: one pair, its margin the click's and the unclicked's."""
    batch = with_own(replace(random_batch(5, rows=1), dense_ids=torch.tensor([[-1, -1, 3, -1]])), [[30]])
    stages = (STAGES[0].model_copy(update={"per_tuple": 0}), *STAGES[1:])
    torch.manual_seed(1)
    model = TwoTower(LAYOUT, SMALL)
    found = Objective(stages, ObjectiveSettings(), own=1)(model, batch, Ranks()).parts["rank"]
    query = model.encode_queries(batch.query)
    clicked, own = model.encode_items(torch.cat([batch.items[:, 2], batch.negatives[:, 0]]))
    margin = STAGES[1].margin + STAGES[2].margin
    assert found == pytest.approx(max(0.0, (margin - (query @ clicked - query @ own)).item()), abs=1e-6)


def test_a_batch_with_another_number_of_own_negatives_is_refused() -> None:
    with pytest.raises(ValueError, match="batch: 1 own negatives a row; expected 2"):
        loss_of(with_own(random_batch(6), [[1]] * 6), 2)
