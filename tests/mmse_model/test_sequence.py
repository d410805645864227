"""The transformer's grain: words in their order, a part of the vector like the others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from mmse_model.config import ModelSettings, ObjectiveSettings, TransformerSettings
from mmse_model.loss import Objective
from mmse_model.optimiser import RowAdam
from mmse_model.pooling import TokenTable, Words, touched_rows
from mmse_model.ranks import Ranks
from mmse_model.sequence import SequenceEncoder
from mmse_model.towers import TwoTower
from mmse_model.trainer import deterministic
from tests.mmse_model.toy import LAYOUT, SMALL, STAGES, ids, random_batch, random_ids

TWO_LAYERS = TransformerSettings(layers=2, heads=2, feed_forward=6)


def new_model(**changes: object) -> TwoTower:
    torch.manual_seed(1)
    return TwoTower(LAYOUT, SMALL.model_copy(update={"dimension": 20, "transformer": TWO_LAYERS, **changes}))


def test_the_order_of_words_matters_to_this_grain_and_to_no_other() -> None:
    model = new_model()
    one, other = (model.encode_items(ids("item", word=order)).view(5, 4) for order in ([1, 2, 3], [3, 1, 2]))
    assert torch.allclose(one[:4], other[:4], atol=1e-6)
    assert (one[4] - other[4]).abs().max() > 0.01


def test_a_text_s_vector_depends_on_its_own_words_alone() -> None:
    """Padding is not attended to, neighbours in the batch are not seen."""
    encoder = SequenceEncoder(5, 8, TWO_LAYERS)
    tokens, there = torch.randn(3, 5, 8), torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
    vectors, some = encoder(tokens, there)
    noisy, _ = encoder(torch.where(there[:, :, None], tokens, torch.randn(3, 5, 8)), there)
    alone, _ = encoder(tokens[:1, :2], there[:1, :2])
    assert torch.allclose(vectors, noisy, atol=1e-6)
    assert torch.allclose(vectors[:1], alone, atol=1e-6)
    assert some.tolist() == [True, True, False] and vectors[2].abs().max() == 0


def test_a_layer_is_attention_and_a_hidden_layer_written_by_hand() -> None:
    torch.manual_seed(4)
    encoder = SequenceEncoder(3, 4, TransformerSettings(layers=1, heads=2, feed_forward=5)).double()
    (layer,) = encoder.layers
    tokens = torch.randn(1, 3, 4, dtype=torch.float64)
    x = tokens[0] + encoder.positions
    query, key, value = (F.layer_norm(x, (4,)) @ layer.project.weight.T).split(4, 1)
    heads = []
    for part in (slice(0, 2), slice(2, 4)):
        shares = torch.softmax(query[:, part] @ key[:, part].T / 2**0.5, 1)
        heads.append(shares @ value[:, part])
    x = x + torch.cat(heads, 1) @ layer.join.weight.T
    first, _, second = layer.hidden
    x = x + F.gelu(F.layer_norm(x, (4,)) @ first.weight.T + first.bias) @ second.weight.T
    assert torch.allclose(encoder(tokens, torch.ones(1, 3, dtype=torch.bool))[0], x.mean(0)[None])


@pytest.mark.parametrize("fusion", ["post", "pre"])
def test_every_parameter_receives_a_gradient(fusion: str) -> None:
    model = new_model(fusion=fusion)
    with deterministic(model.empty.device):
        Objective(STAGES, ObjectiveSettings())(model, random_batch(1, rows=24, stream=16), Ranks()).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.to_dense().abs().sum() > 0, name


def test_the_table_gets_one_gradient_of_its_bags_and_of_its_words_with_each_row_once() -> None:
    """Two reads of the table would leave each row twice, and the optimiser would take one of them."""
    model, reference = new_model().double(), new_model().double()
    queries, items = (random_ids(side, 9, torch.Generator().manual_seed(2)) for side in ("query", "item"))
    goal = torch.randn(9, 20, dtype=torch.float64)
    q, i = model(queries, items)
    ((q * goal).sum() + (i * goal).sum()).backward()
    rows, _ = touched_rows(model.table.vectors.grad)
    assert rows.tolist() == sorted(set(rows.tolist()))
    for encode, given in ((reference.encode_queries, queries), (reference.encode_items, items)):
        (encode(given) * goal).sum().backward()
    assert torch.allclose(model.table.vectors.grad.to_dense(), reference.table.vectors.grad.to_dense())
    assert torch.equal(q, reference.encode_queries(queries))


def test_words_stand_in_their_places_and_padding_is_zero() -> None:
    table = TokenTable(6, 2)
    words = Words.of(torch.tensor([[3, 0, 1], [0, 0, 0]]))
    spread = words.spread(table.vectors[words.ids])
    assert torch.equal(spread[0, [0, 2]], table.vectors[[3, 1]])
    assert spread[0, 1].abs().max() == 0 == spread[1].abs().max()


def test_the_grain_is_one_cosine_more_in_the_score_and_missing_where_a_text_has_no_word() -> None:
    model, generator = new_model(), torch.Generator().manual_seed(3)
    items = model.encode_items(random_ids("item", 30, generator, empty=0.4)).view(30, 5, 4)
    assert torch.allclose(items.norm(dim=2), torch.full((30, 5), 5**-0.5))
    query = model.encode_queries(ids("query", trigram=[1])).view(5, 4)
    assert query[4].abs().max() == 0 < query[2].abs().max()
    empty = model.encode_items(ids("item", trigram=[1])).view(5, 4)[4] * 5**0.5
    assert torch.allclose(empty, F.normalize(model.empty[4], dim=0))


def test_before_training_equal_texts_score_highest() -> None:
    model = new_model(hidden=0, grains=("word",), dimension=16)
    query = model.encode_queries(ids("query", word=[1, 2]))
    items = torch.cat([model.encode_items(ids("item", word=words)) for words in ([1, 2], [2, 1], [5, 6])])
    assert (query @ items.T).argmax() == 0 and (query @ items[:1].T).item() == pytest.approx(1.0)


def test_a_step_moves_all_of_it_and_the_loss_falls() -> None:
    model, batch = new_model(), random_batch(3)
    objective, adam = Objective(STAGES, ObjectiveSettings()), RowAdam(dict(model.named_parameters()), 0.0)
    before = {name: p.detach().clone() for name, p in model.sequence.named_parameters()}
    losses = []
    for _ in range(30):
        loss = objective(model, batch, Ranks())
        loss.total.backward()
        adam.step(0.01)
        losses.append(loss.parts["loss"])
    assert losses[-1] < 0.7 * losses[0]
    assert all(not torch.equal(before[name], p) for name, p in model.sequence.named_parameters())


def test_without_layers_nothing_is_added() -> None:
    torch.manual_seed(1)
    plain = TwoTower(LAYOUT, SMALL)
    assert plain.sequence is None and plain.grains == SMALL.grains
    assert not [name for name, _ in plain.named_parameters() if "sequence" in name]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"transformer": {"layers": 1}}, "dimension = 128: expected a multiple of the 5 grains"),
        ({"transformer": {"layers": 1, "heads": 5}, "dimension": 160}, "token_dimension = 64: expected a multiple of the 5 heads"),
        ({"transformer": {"layers": 1}, "grains": ("trigram",)}, "the transformer reads words; expected 'word' among them"),
        ({"transformer": {"heads": 2}}, "heads = 2, feed_forward = 128: no meaning with layers = 0"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ModelSettings(**changes)
