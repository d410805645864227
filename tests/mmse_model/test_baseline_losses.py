"""Stages left out of the losses, and the losses of the baselines."""

from __future__ import annotations

import pytest
import torch

from mmse_model.objectives import StagePairs, hinge_loss, random_items, slot_levels, slot_weights, three_part_loss
from tests.mmse_model.toy import STAGES, ranked_above


def test_a_stage_left_out_counts_as_the_one_below_and_the_lowest_as_none() -> None:
    assert slot_levels(STAGES, ("ordered",)) == [1, 1, 2, 2]
    assert slot_levels(STAGES, ("clicked",)) == [1, 1, 1, 3]
    assert slot_levels(STAGES, ("clicked", "ordered")) == [1, 1, 1, 1]
    assert slot_levels(STAGES, ("unclicked",)) == [-1, -1, 2, 3]
    assert (random_items(ranked_above(3)), random_items(ranked_above(3), ("random",))) == (3, 0)
    assert slot_weights(STAGES, "exclude", ("clicked",)) == [0.0, 0.0, 0.0, 1.0]
    assert slot_weights(STAGES, "positive", ("unclicked",)) == [0.0, 0.0, 1.0, 1.0]


def test_without_a_stage_its_gap_is_gone_from_the_ranking() -> None:
    """Slots random, unclicked, unclicked, clicked, ordered with margins 0.1, 0.2, 0.3 to the stage below."""
    scores, filled = torch.zeros(1, 5), torch.tensor([[True, True, False, True, True]])
    by_stage = {
        # clicked counts as unclicked: two of them over random, ordered over random and both
        "clicked": (2 * 0.1 + (0.1 + 0.3) + 2 * 0.3) / 5,
        "unclicked": (0.2 + 0.5 + 0.3) / 3,
        "ordered": (0.1 + 2 * 0.3 + 2 * 0.2) / 5,
    }
    for name, expected in by_stage.items():
        total, requests = StagePairs(ranked_above(1), without=(name,)).loss(scores, filled)
        assert (total.item(), requests) == (pytest.approx(expected), 1)


def test_the_hinge_is_a_mean_over_candidates_that_are_no_positives_of_the_row() -> None:
    positive, scores = torch.tensor([[0.5, 0.9]]), torch.tensor([[0.45, 0.0, 0.95]])
    counted = torch.tensor([[1.0, 1.0, 0.0]])
    total, weight = hinge_loss(positive, scores, counted, torch.ones(1, 2), margin=0.1)
    assert (total.item(), weight.item()) == (pytest.approx(0.05 / 2), 2.0)
    total, _ = hinge_loss(positive, scores, torch.zeros(1, 3), torch.ones(1, 2), margin=0.1)
    assert total.item() == 0.0


def test_the_three_parts_have_their_thresholds() -> None:
    own, weights = torch.tensor([[0.65, 0.7]]), torch.tensor([[0.0, 1.0]])
    scores, counted = torch.tensor([[0.3, 0.1, 0.99]]), torch.tensor([[1.0, 1.0, 0.0]])
    total, rows = three_part_loss(own, scores, counted, weights, torch.tensor([[True, False]]))
    assert (total.item(), rows.item()) == (pytest.approx(0.2**2 + 0.1**2 + 0.1**2 / 2), 1.0)
    total, rows = three_part_loss(own, scores, counted, torch.zeros(1, 2), torch.tensor([[True, True]]))
    assert (total.item(), rows.item()) == (0.0, 0.0)
