from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.config import ObjectiveSettings
from mmse_model.loss import Objective, negatives_per_query
from mmse_model.objectives import (
    Candidates,
    StagePairs,
    membership,
    negative_logits,
    slot_levels,
    slot_weights,
    softmax_loss,
)
from mmse_model.ranks import Ranks
from mmse_model.sampling import DistinctItems, distinct_items, log_candidate_weights
from mmse_model.towers import TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, ids, random_batch, ranked_above

POSITIVE = torch.tensor([False, False, True, True])
ITEMS, DRAWS = 200, 64


def new_model() -> TwoTower:
    torch.manual_seed(1)
    return TwoTower(LAYOUT, SMALL)


def loss_of(batch: Batch, model: TwoTower | None = None, **settings: object) -> dict[str, float]:
    objective = Objective(STAGES, ObjectiveSettings(**settings))
    return objective(model or new_model(), batch, Ranks()).parts


def distinct(counts: list[int], share: list[float], probability: list[float]) -> DistinctItems:
    """Items 0, 1, ... that stand so often among the candidates."""
    number = len(counts)
    none = torch.zeros(0, dtype=torch.int64)
    return DistinctItems(
        torch.arange(number), torch.zeros(number, 1), number, torch.tensor(counts, dtype=torch.float32),
        torch.tensor(share), torch.tensor(probability), none, none, none, 0,
    )


# -- the count correction ---------------------------------------------------------------------------------------


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


# -- distinct items and masks -----------------------------------------------------------------------------------


def two_rows() -> Batch:
    """Row 0: unclicked 5, clicked 1. Row 1: clicked 5, ordered 2. Stream: 5, 7, 7. Row 1 knows 7 as a positive."""
    batch = random_batch(0, rows=2, stream=3)
    dense = torch.tensor([[5, -1, 1, -1], [-1, -1, 5, 2]])
    stream = torch.tensor([5, 7, 7])
    by_item = {n: ids("item", word=[n % 8], attribute=[n % 5]) for n in range(8)}
    items = torch.stack([torch.cat([by_item[max(n, 0)] for n in row]) for row in dense.tolist()])
    return replace(
        batch, dense_ids=dense, items=items, stream_ids=stream, known_positives=torch.tensor([[-1, -1], [7, -1]]),
        stream_items=torch.cat([by_item[n] for n in stream.tolist()]),
    )


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
    assert counts == {"in_batch": 1.0, "stream": 0.5, "title": 3.0}


# -- the retrieval loss -----------------------------------------------------------------------------------------


def by_hand(batch: Batch, model: TwoTower, temperature: float, catalogue: float) -> float:
    """The retrieval loss of `two_rows`, written out: every expected count is (3 + 3) / catalogue."""
    query = model.encode_queries(batch.query)
    vector = {n: model.encode_items(ids("item", word=[n % 8], attribute=[n % 5]))[0] for n in (1, 2, 5, 7)}

    def exponential(row: int, item: int) -> float:
        return math.exp(float(query[row] @ vector[item]) / temperature)

    expected = 6 / catalogue
    rest = [(1 * exponential(0, 2) + 2 * exponential(0, 7)) / expected, 1 * exponential(1, 1) / expected]
    chosen = [(0, 1), (1, 5), (1, 2)]
    return sum(-math.log(exponential(r, i) / (exponential(r, i) + rest[r])) for r, i in chosen) / 3


@torch.no_grad()
def test_the_retrieval_loss_is_the_softmax_written_by_hand() -> None:
    batch, model = two_rows(), new_model()
    found = loss_of(batch, model, temperature=0.5)["retrieval"]
    assert found == pytest.approx(by_hand(batch, model, 0.5, 12), rel=1e-5)


@torch.no_grad()
def test_a_batch_without_orders_has_the_loss_of_its_clicks() -> None:
    """E9: an empty stage is no error and no term."""
    batch, model = two_rows(), new_model()
    clicks = replace(batch, dense_ids=torch.tensor([[5, -1, 1, -1], [-1, -1, 5, -1]]))
    query = model.encode_queries(batch.query)
    vector = {n: model.encode_items(ids("item", word=[n % 8], attribute=[n % 5]))[0] for n in (1, 5, 7)}
    score = {(r, n): math.exp(float(query[r] @ v)) for r in (0, 1) for n, v in vector.items()}
    expected = (2 + 3) / 12
    first = -math.log(score[0, 1] / (score[0, 1] + 2 * score[0, 7] / expected))
    second = -math.log(score[1, 5] / (score[1, 5] + 1 * score[1, 1] / expected))
    assert loss_of(clicks, model, temperature=1.0)["retrieval"] == pytest.approx((first + second) / 2, rel=1e-5)


@pytest.mark.parametrize("kept", [[], [0, 1], [2], [3], [0, 1, 2], [0, 1, 3]])
def test_any_stage_may_be_empty(kept: list[int]) -> None:
    batch = random_batch(5)
    gone = torch.tensor([n not in kept for n in range(4)])
    batch = replace(batch, dense_ids=batch.dense_ids.masked_fill(gone, -1))
    model = new_model()
    loss = Objective(STAGES, ObjectiveSettings())(model, batch, Ranks())
    loss.total.backward()
    assert math.isfinite(loss.parts["loss"])
    assert (loss.parts["retrieval"] == 0) == (not {2, 3} & set(kept))
    assert all(torch.isfinite(p.grad.to_dense() if p.grad.is_sparse else p.grad).all() for p in model.parameters())


def test_a_row_whose_every_candidate_is_masked_costs_nothing() -> None:
    batch = two_rows()
    batch = replace(batch, known_positives=torch.tensor([[2, 7], [1, 7]]))
    assert loss_of(batch, title_weight=0.0)["retrieval"] == 0.0


def test_the_attainable_minimum_of_the_softmax_needs_a_temperature() -> None:
    """E4: cosines lie in [-1, 1]; with 1,000 negatives temperature 1 cannot get below 4.88, 0.06 reaches 0."""
    def least(temperature: float) -> float:
        negatives = torch.tensor([-1 / temperature]) + math.log(1_000)
        return float(softmax_loss(torch.tensor([[1 / temperature]]), negatives, torch.ones(1, 1))[0])

    assert least(1.0) == pytest.approx(math.log(1 + 1_000 * math.exp(-2)), rel=1e-5)
    assert least(0.06) < 1e-9


def test_positives_are_pulled_and_negatives_pushed() -> None:
    """E1: the polarity of the labels."""
    positive, negatives = torch.tensor([[0.3]], requires_grad=True), torch.tensor([0.1], requires_grad=True)
    softmax_loss(positive, negatives, torch.ones(1, 1))[0].backward()
    assert positive.grad.item() < 0 < negatives.grad.item()


def test_unclicked_items_take_part_only_as_configured() -> None:
    batch = two_rows()
    batch = replace(batch, dense_ids=torch.tensor([[6, -1, 1, -1], [-1, -1, 5, 2]]))
    ways = ("exclude", "negative", "positive")
    losses = {how: loss_of(batch, unclicked_in_retrieval=how)["retrieval"] for how in ways}
    assert losses["negative"] > losses["exclude"]
    assert len({round(v, 6) for v in losses.values()}) == 3
    assert slot_weights(STAGES, "positive") == [1.0, 1.0, 1.0, 1.0]
    assert slot_weights(STAGES, "negative") == slot_weights(STAGES, "exclude") == [0.0, 0.0, 1.0, 1.0]


def test_an_own_unclicked_negative_stays_however_high_it_scores() -> None:
    """E11: only ids mask, never scores: the own negative's gradient does not vanish when it beats the positive."""
    model, batch = new_model(), two_rows()
    item = ids("item", word=[6], attribute=[1])
    hard = replace(
        batch, dense_ids=torch.tensor([[6, -1, 1, -1], [-1, -1, 5, 2]]),
        items=torch.cat([item[None].expand(2, 1, -1), batch.items[:, 1:]], 1),
        query=ids("query", word=[6]).expand(2, -1),
    )
    settings = {"rank_weight": 0.0, "title_weight": 0.0}
    with torch.no_grad():
        scores = model.encode_queries(hard.query[:1]) @ model.encode_items(torch.cat([item, hard.items[0, 2:3]])).T
    assert scores[0, 0] > scores[0, 1]
    assert loss_of(hard, model, unclicked_in_retrieval="negative", **settings)["retrieval"] > (
        loss_of(hard, model, unclicked_in_retrieval="exclude", **settings)["retrieval"] + 0.1
    )


# -- the ranking loss -------------------------------------------------------------------------------------------


def test_the_hinge_asks_for_the_sum_of_the_margins_between_two_stages() -> None:
    """Slots random, unclicked, unclicked, clicked, ordered; margins 0.1, 0.2, 0.3 to the stage below."""
    pairs = StagePairs(ranked_above(1))
    scores = torch.tensor([[0.0, 0.5, 0.0, 0.4, 0.6]])
    filled = torch.tensor([[True, True, False, True, True]])
    by_pair = {
        "unclicked-random": 0.1 - 0.5, "clicked-random": 0.3 - 0.4, "ordered-random": 0.6 - 0.6,
        "clicked-unclicked": 0.2 + 0.1, "ordered-unclicked": 0.5 - 0.1, "ordered-clicked": 0.3 - 0.2,
    }
    total, requests = pairs.loss(scores, filled)
    assert total.item() == pytest.approx(sum(max(0.0, v) for v in by_pair.values()) / 6)
    assert requests == 1


def test_requests_count_alike_however_many_pairs_they_have() -> None:
    pairs = StagePairs(ranked_above(0))
    scores = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    filled = torch.tensor([[True, True, True, False], [True, False, True, False], [False, False, True, False]])
    total, requests = pairs.loss(scores, filled)
    assert total.item() == pytest.approx(0.2 + 0.2) and requests == 2


def test_random_items_of_a_request_are_never_its_own_or_known_positives() -> None:
    batch = two_rows()
    objective = Objective(ranked_above(3), ObjectiveSettings())
    _, usable = objective._random_items(batch, distinct_items(batch, POSITIVE))
    assert usable.tolist() == [[False, True, True], [False, False, False]]


# -- all together -----------------------------------------------------------------------------------------------


def test_every_parameter_receives_a_gradient() -> None:
    for fusion in ("post", "pre"):
        torch.manual_seed(1)
        model = TwoTower(LAYOUT, SMALL.model_copy(update={"fusion": fusion}))
        Objective(STAGES, ObjectiveSettings())(model, random_batch(1, rows=24, stream=16), Ranks()).total.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.to_dense().abs().sum() > 0, name


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.1}, {"rank_weight": 0.3}, {"title_weight": 0.1},
        {"count_correction": False}, {"unclicked_in_retrieval": "positive"}, {"unclicked_in_retrieval": "negative"},
        {"retrieval": "hinge"}, {"retrieval": "three_part"}, {"without": ("ordered",)}, {"without": ("clicked",)},
        {"without": ("unclicked",)},
    ],
)
def test_every_setting_of_the_objective_changes_the_loss(settings: dict) -> None:
    batch, model = random_batch(7), new_model()
    assert loss_of(batch, model)["loss"] != pytest.approx(loss_of(batch, model, **settings)["loss"], rel=1e-9)


def test_the_weight_and_the_margin_of_a_stage_change_the_loss() -> None:
    batch, model = random_batch(7), new_model()
    plain = loss_of(batch, model)["loss"]
    ordered = [(*STAGES[:3], STAGES[3].model_copy(update=change)) for change in ({"weight": 3.0}, {"margin": 0.9})]
    for stages in [ranked_above(1), *ordered]:
        assert Objective(stages, ObjectiveSettings())(model, batch, Ranks()).parts["loss"] != pytest.approx(plain)


def test_a_title_without_a_word_is_no_pair() -> None:
    batch, model = random_batch(7), new_model()
    queries = batch.stream_title_queries.clone()
    queries[:] = 0
    assert loss_of(replace(batch, stream_title_queries=queries), model)["title"] == 0.0
    queries[1] = ids("query", word=[3])[0]
    assert loss_of(replace(batch, stream_title_queries=queries), model)["title"] > 0.0


def test_levels_follow_the_configuration_s_list() -> None:
    assert slot_levels(STAGES) == [1, 1, 2, 3]
