"""Hard negatives in the retrieval loss: each there once, in place of whatever of it was drawn."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.config import ObjectiveSettings
from mmse_model.loss import Objective, negatives_per_query
from mmse_model.ranks import Ranks
from mmse_model.towers import TwoTower
from tests.mmse_model.test_own_negatives import with_own
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, random_batch, random_ids

PROBABILITY = [0.4, 0.3, 0.1, 0.15, 0.05]
"""Of a stream draw, for items 0 to 4; item 0 is what was clicked."""


def new_model() -> TwoTower:
    torch.manual_seed(1)
    return TwoTower(LAYOUT, SMALL)


def parts_of(batch: Batch, own: int, hard: int, progress: float = 1.0, **settings: object) -> dict[str, float]:
    objective = Objective(STAGES, ObjectiveSettings(**settings), own=own, hard=hard)
    return objective(new_model(), batch, Ranks(), progress).parts


def one_click(drawn: tuple[int, ...]) -> Batch:
    """One row with a click on item 0, whose stream entries are `drawn`; nobody else's positive stands in the batch."""
    items, rate = random_ids("item", 40, torch.Generator().manual_seed(99)), torch.tensor(PROBABILITY)
    stream, dense = torch.tensor(drawn), torch.tensor([[-1, -1, 0, -1]])
    plain = random_batch(8, rows=1, stream=len(drawn))
    shares = torch.zeros(1, 4, 2)
    shares[0, 2] = torch.tensor([1.0, PROBABILITY[0]])
    return replace(
        plain, dense_ids=dense, items=items[dense.clamp_min(0)], shares=shares, known_positives=torch.full((1, 2), -1),
        stream_ids=stream, stream_items=items[stream], stream_share=(stream == 0).float(), stream_probability=rate[stream],
    )


def sampled_sum(loss: float, positive: float) -> float:
    """What stood beside the positive in the denominator of a softmax loss: loss = log(1 + sum / e^positive)."""
    return math.expm1(loss) * math.exp(positive)


@torch.no_grad()
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_over_all_draws_the_sum_is_the_catalogue_s_with_a_hard_item_counted_by_its_weight(weight: float) -> None:
    """All 25 pairs of stream draws by their probability; item 1 is hard and the most frequent of the draws at once."""
    model, temperature, mean = new_model(), 0.5, 0.0
    first = with_own(one_click((0, 0)), [[1]])
    catalogue = random_ids("item", 40, torch.Generator().manual_seed(99))[:5]
    scores = (model.encode_queries(first.query) @ model.encode_items(catalogue).T)[0] / temperature
    for drawn in itertools.product(range(5), repeat=2):
        settings = {"temperature": temperature, "title_weight": 0.0, "hard_negatives": {"weight": weight}}
        loss = parts_of(with_own(one_click(drawn), [[1]]), 1, 1, **settings)["retrieval"]
        mean += PROBABILITY[drawn[0]] * PROBABILITY[drawn[1]] * sampled_sum(loss, float(scores[0]))
    z = scores[1:].exp().sum() + (weight - 1) * scores[1].exp()
    assert mean == pytest.approx(float(z), rel=1e-4)


def test_hard_negatives_wait_for_the_warm_up() -> None:
    plain = random_batch(3)
    batch = with_own(plain, [[20 + n] for n in range(plain.rows)])
    without = parts_of(plain, 0, 0)
    assert parts_of(batch, 1, 1, progress=0.249) == without
    assert parts_of(batch, 1, 1, progress=0.25)["retrieval"] > without["retrieval"]
    assert parts_of(batch, 1, 1, progress=0.25, hard_negatives={"warmup_share": 0.5}) == without
    assert parts_of(batch, 1, 1, progress=0.0, hard_negatives={"warmup_share": 0.0})["retrieval"] > without["retrieval"]


def test_a_hard_negative_enters_no_loss_but_the_retrieval_s() -> None:
    plain = random_batch(3)
    batch = with_own(plain, [[20 + n] for n in range(plain.rows)])
    before, after = parts_of(plain, 0, 0), parts_of(batch, 1, 1)
    assert {n: after[n] for n in ("rank", "title")} == pytest.approx({n: before[n] for n in ("rank", "title")})


def test_random_ones_stand_first_and_are_ranked_and_hard_ones_last_and_are_not() -> None:
    plain = random_batch(3)
    random, hard = [[20 + n] for n in range(plain.rows)], [[30 + n] for n in range(plain.rows)]
    both = parts_of(with_own(plain, [a + b for a, b in zip(random, hard)]), 2, 1)
    assert both["rank"] == pytest.approx(parts_of(with_own(plain, random), 1, 0)["rank"])
    assert both["retrieval"] == pytest.approx(parts_of(with_own(plain, hard), 1, 1)["retrieval"])


def test_rows_without_a_hard_negative_have_the_loss_they_had() -> None:
    plain = random_batch(4)
    assert parts_of(with_own(plain, [[-1, -1]] * plain.rows), 2, 2) == pytest.approx(parts_of(plain, 0, 0))


def test_with_weight_0_hard_negatives_are_left_out_and_what_is_drawn_of_them_stays() -> None:
    plain = random_batch(5)
    batch = with_own(plain, [[int(plain.stream_ids[0])]] * plain.rows)
    assert parts_of(batch, 1, 1, hard_negatives={"weight": 0.0}) == parts_of(plain, 0, 0)


@torch.no_grad()
@pytest.mark.parametrize("retrieval", ["hinge", "three_part"])
def test_in_a_mean_over_candidates_a_hard_negative_counts_by_its_weight(retrieval: str) -> None:
    """Drawn are items 2 and 3, item 4 is hard with weight 2: half of the mean over negatives is the hard one's."""
    batch, model = with_own(one_click((2, 3)), [[4]]), new_model()
    margin = {"hinge_margin": 1.5} if retrieval == "hinge" else {}
    settings = {"retrieval": retrieval, **margin, "title_weight": 0.0, "hard_negatives": {"weight": 2.0}}
    catalogue = random_ids("item", 40, torch.Generator().manual_seed(99))[:5]
    s = (model.encode_queries(batch.query) @ model.encode_items(catalogue).T)[0].tolist()
    if retrieval == "hinge":
        terms, rest = [max(0.0, 1.5 - s[0] + s[n]) for n in (2, 3, 4)], 0.0
    else:
        terms, rest = [max(0.0, s[n] - 0.2) ** 2 for n in (2, 3, 4)], max(0.0, 0.9 - s[0]) ** 2
    expected = rest + (terms[0] + terms[1] + 2 * terms[2]) / 4
    assert parts_of(batch, 1, 1, **settings)["retrieval"] == pytest.approx(expected, rel=1e-5)


def test_the_number_of_hard_negatives_is_counted_where_they_take_part() -> None:
    batch = with_own(random_batch(6, rows=2), [[20, 30, 31], [21, 32, -1]])
    for weight, expected in ((1.0, 1.5), (0.0, 0.0)):
        settings = ObjectiveSettings(hard_negatives={"weight": weight})
        assert negatives_per_query(batch, Objective(STAGES, settings, own=3, hard=2))["hard"] == expected
