from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mmse_model.batch import Batch
from mmse_model.config import ObjectiveSettings
from mmse_model.loss import Objective
from mmse_model.objectives import StagePairs, slot_levels, slot_weights, softmax_loss
from mmse_model.ranks import Ranks
from mmse_model.towers import TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, ids, random_batch, ranked_above, two_rows


def new_model() -> TwoTower:
    torch.manual_seed(1)
    return TwoTower(LAYOUT, SMALL)


def loss_of(batch: Batch, model: TwoTower | None = None, **settings: object) -> dict[str, float]:
    objective = Objective(STAGES, ObjectiveSettings(**settings))
    return objective(model or new_model(), batch, Ranks()).parts


# -- the retrieval loss -----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("retrieval", ["softmax", "hinge", "three_part"])
def test_a_step_leaves_its_batch_as_it_was(retrieval: str) -> None:
    """E6: what is handed in is read, not written."""
    batch, same = random_batch(7), random_batch(7)
    objective = Objective(STAGES, ObjectiveSettings(retrieval=retrieval, unclicked_in_retrieval="negative"))
    objective(new_model(), batch, Ranks()).total.backward()
    for name, tensor in vars(same).items():
        assert tensor is None or torch.equal(getattr(batch, name), tensor), name


def test_a_title_without_a_word_is_no_pair() -> None:
    batch, model = random_batch(7), new_model()
    queries = batch.stream_title_queries.clone()
    queries[:] = 0
    assert loss_of(replace(batch, stream_title_queries=queries), model)["title"] == 0.0
    queries[1] = ids("query", word=[3])[0]
    assert loss_of(replace(batch, stream_title_queries=queries), model)["title"] > 0.0


def test_levels_follow_the_configuration_s_list() -> None:
    assert slot_levels(STAGES) == [1, 1, 2, 3]
