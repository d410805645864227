from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmse_model.config import ModelSettings
from mmse_model.pooling import Bags, TokenTable, touched_rows
from mmse_model.towers import Head, TwoTower
from tests.mmse_model.toy import LAYOUT, SMALL, ids, random_ids

COLUMNS = [LAYOUT.item[g] for g in SMALL.grains]


def new_model(**changes: object) -> TwoTower:
    torch.manual_seed(1)
    return TwoTower(LAYOUT, SMALL.model_copy(update=changes)).double()


def test_a_bag_is_the_mean_of_its_tokens_weighted_by_the_exponential_of_their_weights() -> None:
    table = TokenTable(5, 2)
    with torch.no_grad():
        table.vectors.copy_(torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0], [2.0, 2.0]]))
        table.log_weights[2] = torch.log(torch.tensor(3.0))
    pooled, present = table(Bags.of(torch.tensor([[1, 2, 0], [0, 0, 0], [4, 0, 0]]), [slice(0, 3)]))
    assert torch.allclose(pooled, torch.tensor([[0.25, 0.75], [0.0, 0.0], [2.0, 2.0]]))
    assert present.tolist() == [True, False, True]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_pooling_and_its_gradient_equal_a_dense_computation(seed: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = TokenTable(LAYOUT.table_rows, 3).double()
    with torch.no_grad():
        table.log_weights.normal_(generator=generator)
    given_ids = random_ids("item", rows, generator)
    pooled, _ = table(Bags.of(given_ids, COLUMNS))
    goal = torch.randn(pooled.shape, generator=generator, dtype=torch.float64)
    (pooled * goal).sum().backward()

    vectors, logs = (p.detach().clone().requires_grad_() for p in (table.vectors, table.log_weights))
    parts = []
    for column in COLUMNS:
        picked = given_ids[:, column].long()
        weight = logs[picked].exp() * (picked != 0)[:, :, None]
        parts.append((weight * vectors[picked]).sum(1) / weight.sum(1).clamp_min(1e-300))
    expected = torch.stack(parts, 1).flatten(0, 1)
    (expected * goal).sum().backward()
    assert torch.allclose(pooled, expected)
    if table.vectors.grad is not None:
        assert torch.allclose(table.vectors.grad.to_dense(), vectors.grad)
        assert torch.allclose(table.log_weights.grad.to_dense(), logs.grad)


def test_the_gradient_of_the_table_holds_each_touched_row_once_and_no_other() -> None:
    table = TokenTable(9, 2)
    pooled, _ = table(Bags.of(torch.tensor([[7, 2, 7], [2, 5, 0]]), [slice(0, 3)]))
    pooled.sum().backward()
    assert touched_rows(table.vectors.grad)[0].tolist() == [2, 5, 7]


def test_padding_does_not_change_a_vector() -> None:
    model = new_model()
    moved = ids("item", word=[1, 2])
    moved[0, [1, 2]] = moved[0, [2, 1]]  # token, padding, token
    assert torch.allclose(model.encode_items(ids("item", word=[1, 2])), model.encode_items(moved))


@pytest.mark.parametrize("fusion", ["post", "pre"])
@pytest.mark.parametrize("hidden", [0, 4])
def test_every_item_has_unit_norm_even_without_any_token(fusion: str, hidden: int) -> None:
    generator = torch.Generator().manual_seed(3)
    vectors = new_model(fusion=fusion, hidden=hidden).encode_items(random_ids("item", 50, generator, empty=0.5))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(50, dtype=torch.float64))
    assert vectors.shape == (50, 16)


@pytest.mark.parametrize("fusion", ["post", "pre"])
def test_a_query_without_any_token_is_the_zero_vector(fusion: str) -> None:
    assert new_model(fusion=fusion).encode_queries(ids("query")).abs().max() == 0


def test_hidden_0_is_a_linear_head() -> None:
    head, x, y = Head(3, 2, 0), torch.randn(4, 3), torch.randn(4, 3)
    assert torch.allclose(head(2 * x + y), 2 * head(x) + head(y), atol=1e-6)
    bent = Head(3, 2, 5)
    assert not torch.allclose(bent(2 * x + y), 2 * bent(x) + bent(y), atol=1e-6)


def test_before_training_shared_words_already_mean_a_high_score() -> None:
    model = new_model(hidden=0, grains=("word", "bigram", "trigram"), dimension=24)
    query = model.encode_queries(ids("query", word=[1, 2], bigram=[3], trigram=[1, 4]))
    same = model.encode_items(ids("item", word=[1, 2], bigram=[3], trigram=[1, 4]))
    other = model.encode_items(ids("item", word=[5, 6], bigram=[7], trigram=[2, 3]))
    assert (query @ same.T).item() == pytest.approx(1.0)
    assert (query @ other.T).item() < 0.9


def test_both_towers_read_one_table_whether_called_together_or_apart() -> None:
    model, generator = new_model(), torch.Generator().manual_seed(5)
    queries, items = random_ids("query", 7, generator), random_ids("item", 9, generator)
    together = model(queries, items)
    assert torch.allclose(together[0], model.encode_queries(queries))
    assert torch.allclose(together[1], model.encode_items(items))


def test_the_same_words_reach_the_attribute_grain_of_a_query_only_through_words_and_trigrams() -> None:
    model = new_model()
    text = torch.zeros(1, 3, 8, dtype=torch.float64)
    text[0, 1] = 1.0  # a bigram alone
    _, present = model.grain_vectors(text, torch.tensor([[False, True, False]]))
    assert present.tolist() == [[False, True, False, False]]
    _, present = model.grain_vectors(text, torch.tensor([[True, True, False]]))
    assert present.tolist() == [[True, True, False, True]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dimension": 30}, "multiple of the 4 grains"),
        ({"grains": ("attribute",)}, "'word' or 'trigram' among them"),
        ({"grains": ("word", "word")}, "different grains"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused_in_one_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ModelSettings(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"fusion": "pre"}, {"hidden": 0}, {"token_dimension": 12}, {"dimension": 32}, {"grains": ("word", "trigram")}],
)
def test_every_setting_of_the_model_changes_its_scores(changes: dict) -> None:
    generator = torch.Generator().manual_seed(6)
    queries, items = random_ids("query", 4, generator), random_ids("item", 5, generator)

    def scores(model: TwoTower) -> torch.Tensor:
        q, i = model(queries, items)
        return q @ i.T

    assert not torch.allclose(scores(new_model()), scores(new_model(**changes)))


def test_the_learned_vector_of_an_empty_grain_is_that_grains_part_of_the_item() -> None:
    model = new_model()
    vector = model.encode_items(ids("item", word=[1])).view(4, 4) * 2  # four grains: each part has norm 1/2
    assert torch.allclose(vector[1:], F.normalize(model.empty[1:], dim=1))
    assert not torch.allclose(vector[0], F.normalize(model.empty[0], dim=0))
