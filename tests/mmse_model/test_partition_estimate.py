"""The sampled sum over the catalogue: unbiased with both sources together, and off where the correction is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.objectives import Candidates, negative_logits, softmax_loss
from mmse_model.sampling import DistinctItems, distinct_items, log_candidate_weights
from tests.mmse_model.toy import POSITIVE, random_batch

ITEMS, DRAWS = 200, 64


def distinct(counts: list[int], share: list[float], probability: list[float]) -> DistinctItems:
    """Items 0, 1, ... that stand so often among the candidates."""
    number = len(counts)
    none = torch.zeros(0, dtype=torch.int64)
    return DistinctItems(
        torch.arange(number), torch.zeros(number, 1), number, torch.tensor(counts, dtype=torch.float32),
        torch.tensor(share), torch.tensor(probability), none, none, none, 0,
    )


def test_a_candidate_is_weighed_by_its_count_over_its_expected_count_in_both_sources() -> None:
    """10 positives and 20 stream draws: item 0 is expected 10 * 0.3 + 20 * 0.1 = 5 times, and stands there twice."""
    weights = log_candidate_weights(distinct([2, 1], [0.3, 0.0], [0.1, 0.05]), 10, 20)
    assert weights.exp().tolist() == pytest.approx([2 / 5, 1 / 1])


def test_without_correction_the_count_alone_remains() -> None:
    weights = log_candidate_weights(distinct([2, 1], [0.3, 0.0], [0.1, 0.05]), 10, 20, correct=False)
    assert weights.exp().tolist() == pytest.approx([2.0, 1.0])


def test_of_two_items_with_equal_scores_the_frequent_one_is_pushed_less() -> None:
    """The sign of the correction: added instead of subtracted, the frequent item would weigh more (E2)."""
    weights = log_candidate_weights(distinct([1, 1], [0.5, 0.01], [0.1, 0.1]), 10, 10)
    assert weights[0] < weights[1]


def test_a_candidate_that_no_source_expects_is_refused() -> None:
    with pytest.raises(ValueError, match="item 1 is a candidate, but its share"):
        log_candidate_weights(distinct([1, 1], [0.5, 0.0], [0.1, 0.0]), 10, 10)


def sampled_loss(draws: int, repeats: int, *, sign: float = 1.0) -> tuple[float, float, float, float]:
    """(mean of Z-hat, Z, mean sampled loss, true loss) of one query over 200 items, `draws` from each source."""
    generator = torch.Generator().manual_seed(11)
    scores = torch.randn(ITEMS, generator=generator, dtype=torch.float64)
    popular = torch.arange(1, ITEMS + 1, dtype=torch.float64) ** -0.8
    share = popular / popular.sum()
    uniform = torch.full((ITEMS,), 1 / ITEMS, dtype=torch.float64)
    positive = scores[150]
    totals, losses = [], []
    for _ in range(repeats):
        drawn = torch.cat([
            torch.multinomial(share, draws, True, generator=generator),
            torch.multinomial(uniform, draws, True, generator=generator),
        ])
        counts = torch.bincount(drawn, minlength=ITEMS)
        kept = counts > 0
        items = replace(
            distinct([1], [1.0], [1.0]), ids=torch.arange(ITEMS)[kept], candidates=int(kept.sum()),
            counts=counts[kept].double(), share=share[kept], probability=uniform[kept],
        )
        weights = log_candidate_weights(items, draws, draws)
        weights = counts[kept].log() + sign * (weights - counts[kept].log())
        candidates = Candidates(scores[kept][:, None], items.ids, weights)
        negatives = negative_logits(torch.ones(1, 1, dtype=torch.float64), candidates, torch.tensor([[150]]), 1.0)
        totals.append(float(negatives.exp() + positive.exp()))
        losses.append(float(softmax_loss(positive.view(1, 1), negatives, torch.ones(1, 1))[0]))
    z = float(scores.exp().sum())
    return sum(totals) / repeats, z, sum(losses) / repeats, math.log(z) - float(positive)


def test_the_sampled_sum_over_the_catalogue_is_unbiased_with_two_sources() -> None:
    mean, z, _, _ = sampled_loss(DRAWS, 800)
    assert mean == pytest.approx(z, rel=0.015)


def test_the_bias_of_the_loss_shrinks_as_draws_grow() -> None:
    """Jensen: the loss is low by about Var / 2, which falls with the number of draws."""
    bias = [loss - true for _, _, loss, true in (sampled_loss(n, 400) for n in (8, 32, 512))]
    assert bias[0] < bias[1] < 0
    assert abs(bias[2]) < 0.01 < abs(bias[1]) < abs(bias[0])


def test_with_the_sign_flipped_the_sum_is_far_off() -> None:
    mean, z, _, _ = sampled_loss(DRAWS, 200, sign=-1.0)
    assert abs(mean / z - 1) > 0.3


# -- every outcome of a few draws, none left to chance ----------------------------------------------------------

SCORES = torch.tensor([0.0, 1.0, -1.0, 0.5])
SHARE, PROBABILITY = torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([0.1, 0.2, 0.2, 0.5])
OWN = 1
"""The item that the query leads to; its score is always part of the sum."""
Z = float(SCORES.exp().sum())
Weigh = Callable[[DistinctItems, int, int], torch.Tensor]


def batch_of(positives: tuple[int, ...], stream: tuple[int, ...]) -> Batch:
    """One row for each positive, which is clicked, and a stream; every item with its rates."""
    rates = torch.stack([SHARE, PROBABILITY], 1)
    batch = random_batch(0, rows=len(positives), stream=len(stream))
    dense = torch.full((len(positives), 4), -1)
    dense[:, 2] = torch.tensor(positives)
    drawn = torch.tensor(stream)
    return replace(
        batch, dense_ids=dense, shares=rates[dense.clamp_min(0)], stream_ids=drawn, stream_share=SHARE[drawn],
        stream_probability=PROBABILITY[drawn],
    )


def outcomes(draws: int) -> Iterator[tuple[float, DistinctItems]]:
    """Everything that `draws` positives and `draws` stream entries can be, with its probability."""
    for drawn in itertools.product(range(len(SCORES)), repeat=2 * draws):
        positives, stream = drawn[:draws], drawn[draws:]
        chance = math.prod(SHARE[list(positives)].tolist()) * math.prod(PROBABILITY[list(stream)].tolist())
        yield chance, distinct_items(batch_of(positives, stream), POSITIVE)


def expectation(draws: int, weigh: Weigh = log_candidate_weights) -> tuple[float, float]:
    """(E of Z-hat, E of the loss) over all outcomes."""
    total = loss = 0.0
    for chance, items in outcomes(draws):
        candidates = Candidates(SCORES[items.ids][:, None], items.ids, weigh(items, draws, draws))
        negatives = negative_logits(torch.ones(1, 1), candidates, torch.tensor([[OWN]]), 1.0)
        total += chance * (math.exp(float(negatives)) + math.exp(float(SCORES[OWN])))
        loss += chance * float(softmax_loss(SCORES[OWN].view(1, 1), negatives, torch.ones(1, 1))[0])
    return total, loss


@pytest.mark.parametrize("draws", [1, 2])
def test_over_all_outcomes_the_expected_sum_is_the_sum_over_the_catalogue(draws: int) -> None:
    """E[Z-hat] = Z: 16 outcomes of one draw from each source, 256 of two."""
    assert expectation(draws)[0] == pytest.approx(Z, rel=1e-6)


def test_over_all_outcomes_the_loss_is_low_and_less_so_with_more_draws() -> None:
    true = math.log(Z) - float(SCORES[OWN])
    bias = [expectation(draws)[1] - true for draws in (1, 2)]
    assert bias[0] < bias[1] < 0


WRONG: dict[str, Weigh] = {
    "added": lambda items, n, r: items.counts.log() + (n * items.share + r * items.probability).log(),
    "each source by itself": lambda items, n, r: log_candidate_weights(items, n, 0),
    "left out": lambda items, n, r: log_candidate_weights(items, n, r, correct=False),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_correction_misses_the_sum(how: str) -> None:
    """What the exact test, whose tolerance is 1e-6, says of a flipped sign, of one source alone, of no correction (E2)."""
    assert abs(expectation(2, WRONG[how])[0] / Z - 1) > 0.04
