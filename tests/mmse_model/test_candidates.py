"""Which items of a batch are candidates, how often they count, and which of them a row is not compared with."""

from __future__ import annotations

from dataclasses import replace

import torch

from mmse_model.config import ObjectiveSettings
from mmse_model.loss import Objective, negatives_per_query
from mmse_model.objectives import membership
from mmse_model.sampling import distinct_items
from tests.mmse_model.toy import POSITIVE, STAGES, ranked_above, two_rows


def test_each_distinct_item_is_encoded_once_and_counted_as_often_as_it_is_drawn() -> None:
    items = distinct_items(two_rows(), POSITIVE)
    assert items.ids.tolist() == [1, 2, 5, 7]
    assert items.counts.tolist() == [1, 1, 2, 2]  # 5: clicked once, drawn once; its place as unclicked does not count
    assert items.positives == 3
    assert items.ids[items.slots][1].tolist()[2:] == [5, 2] and items.ids[items.stream].tolist() == [5, 7, 7]


def test_one_item_as_positive_and_as_negative_has_one_embedding() -> None:
    """E3: no second encoder for negatives; moving the one vector moves both."""
    batch = two_rows()
    items = distinct_items(batch, POSITIVE)
    assert items.slots[0, 0] == items.slots[1, 2] == items.stream[0]
    assert torch.equal(items.items[items.slots[0, 0]], batch.items[1, 2])


def test_an_unclicked_item_that_nobody_chose_is_no_candidate() -> None:
    dense = torch.tensor([[5, -1, 1, -1], [-1, -1, 1, 2]])
    batch = replace(two_rows(), stream_ids=torch.tensor([7, 7, 7]), dense_ids=dense)
    items = distinct_items(batch, POSITIVE)
    assert items.ids.tolist() == [1, 2, 7, 5] and items.candidates == 3


def test_the_row_s_own_items_and_known_positives_leave_the_denominator() -> None:
    """Row 0 keeps 2 and 7; row 1, which knows 7, keeps 1."""
    batch = two_rows()
    excluded = torch.cat([batch.dense_ids, batch.known_positives], 1)
    mask = membership(excluded, torch.tensor([1, 2, 5, 7]))
    assert mask.tolist() == [[True, False, True, False], [False, True, True, True]]


def test_an_item_that_two_processes_hold_is_masked_in_both_places() -> None:
    assert membership(torch.tensor([[4, -1]]), torch.tensor([4, 9, 2, 4])).tolist() == [[True, False, False, True]]


def test_the_effective_number_of_negatives_is_counted_after_masking() -> None:
    """In-batch positives 1, 2, 5: row 0 keeps 2, row 1 keeps 1. Stream 5, 7: row 0 keeps 7, row 1 none."""
    counts = negatives_per_query(two_rows(), Objective(STAGES, ObjectiveSettings()))
    assert counts == {"in_batch": 1.0, "stream": 0.5, "hard": 0.0, "title": 3.0}


def test_random_items_of_a_request_are_never_its_own_or_known_positives() -> None:
    batch = two_rows()
    objective = Objective(ranked_above(3), ObjectiveSettings())
    _, usable = objective._random_items(batch, distinct_items(batch, POSITIVE))
    assert usable.tolist() == [[False, True, True], [False, False, False]]
