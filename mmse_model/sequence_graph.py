"""The transformer's grain (mmse_model.sequence) in an ONNX graph."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mmse_model.onnx_graph import Graph, plain
from mmse_model.sequence import Layer, SequenceEncoder


def sequence_grain(graph: Graph, encoder: SequenceEncoder, table: str, words: str) -> tuple[str, str]:
    """Ids of words (N, L) -> (N, W), zero without a word, and 1.0 or 0.0 (N, 1): is there one?

    Words beyond the encoder's places are cut off.
    """
    places, width = encoder.positions.shape
    ids = _cut(graph, words, graph.constant("sequence.places", [places], np.int64), 1, "sequence.ids")
    there = graph.add("Greater", ids, graph.constant("no_id", 0, np.int64), name="sequence.there")
    number = graph.add("Cast", there, name="sequence.number", to=1)
    found = graph.add("ReduceMax", number, name="sequence.found", axes=[1], keepdims=1)
    shape = graph.add("Shape", ids, name="sequence.shape")
    length = graph.add("Gather", shape, _whole(graph, "second_axis", [1]), name="sequence.length")
    positions = _cut(graph, graph.constant("sequence.positions", plain(encoder.positions)), length, 0, "sequence.own_positions")
    x = graph.add("Add", _tokens(graph, table, ids, there, width), positions, name="sequence.input")
    bias = _bias(graph, there, found)
    for number_of, layer in enumerate(encoder.layers):
        x = _layer(graph, layer, x, bias, f"sequence.{number_of}")
    return _mean(graph, x, number), found


def _tokens(graph: Graph, table: str, ids: str, there: str, width: int) -> str:
    """(N, L, W): the table holds vectors times weights, and the weights; padding's row is zero."""
    rows = graph.add("Gather", table, ids, name="sequence.rows")
    sizes = graph.constant("vector_and_weight", [width, 1], np.int64)
    total, weight = graph.split("Split", rows, sizes, names=["sequence.weighted", "sequence.weight"], axis=2)
    some = graph.add("Unsqueeze", there, _whole(graph, "last_axis", [-1]), name="sequence.some")
    divisor = graph.add("Where", some, weight, graph.constant("one", 1), name="sequence.divisor")
    return graph.add("Div", total, divisor, name="sequence.tokens")


def _bias(graph: Graph, there: str, found: str) -> str:
    """(N, 1, 1, L), to be added to attention: lowest where there is no word; a row without any is attended to in full."""
    nothing = graph.add("Not", graph.add("Cast", found, name="sequence.any", to=9), name="sequence.none")
    seen = graph.add("Or", there, nothing, name="sequence.seen")
    lowest = graph.constant("lowest", torch.finfo(torch.float32).min)
    bias = graph.add("Where", seen, graph.constant("zero", 0), lowest, name="sequence.mask")
    return graph.add("Unsqueeze", bias, _whole(graph, "middle_axes", [1, 2]), name="sequence.bias")


def _layer(graph: Graph, layer: Layer, x: str, bias: str, name: str) -> str:
    seen = _attention(graph, layer, _norm(graph, layer.before_attention, x, f"{name}.before"), bias, name)
    x = graph.add("Add", x, _times(graph, layer.join, seen, f"{name}.join"), name=f"{name}.attended")
    first, _, second = layer.hidden
    inner = _times(graph, first, _norm(graph, layer.before_hidden, x, f"{name}.after"), f"{name}.first")
    return graph.add("Add", x, _times(graph, second, graph.gelu(inner, f"{name}.gelu"), f"{name}.second"), name=name)


def _attention(graph: Graph, layer: Layer, x: str, bias: str, name: str) -> str:
    """(N, L, W) -> (N, L, W), the heads side by side."""
    width = layer.join.in_features
    apart = _whole(graph, f"{name}.apart", [0, 0, 3, layer.heads, width // layer.heads])
    parts = graph.add("Reshape", _times(graph, layer.project, x, f"{name}.project"), apart, name=f"{name}.parts")
    heads = graph.add("Transpose", parts, name=f"{name}.heads", perm=[2, 0, 3, 1, 4])
    names = [f"{name}.{part}" for part in ("queries", "keys", "values")]
    split = graph.split("Split", heads, _whole(graph, "one_of_three", [1, 1, 1]), names=names, axis=0)
    query, key, value = (graph.add("Squeeze", s, _whole(graph, "axis_0", [0]), name=f"{s}.own") for s in split)
    turned = graph.add("Transpose", key, name=f"{name}.turned", perm=[0, 1, 3, 2])
    products = graph.add("MatMul", query, turned, name=f"{name}.products")
    scores = graph.add("Mul", products, graph.constant(f"{name}.root", (layer.heads / width) ** 0.5), name=f"{name}.scores")
    shares = graph.add("Softmax", graph.add("Add", scores, bias, name=f"{name}.masked"), name=f"{name}.shares", axis=-1)
    seen = graph.add("MatMul", shares, value, name=f"{name}.seen")
    beside = graph.add("Transpose", seen, name=f"{name}.beside", perm=[0, 2, 1, 3])
    return graph.add("Reshape", beside, _whole(graph, "side_by_side", [0, 0, width]), name=f"{name}.together")


def _mean(graph: Graph, x: str, there: str) -> str:
    """The mean (N, W) over the places with a word; zero without any."""
    axis = _whole(graph, "second_axis", [1])
    kept = graph.add("Unsqueeze", there, _whole(graph, "last_axis", [-1]), name="sequence.kept")
    total = graph.add("ReduceSum", graph.add("Mul", x, kept, name="sequence.words"), axis, name="sequence.total", keepdims=0)
    count = graph.add("ReduceSum", there, axis, name="sequence.count", keepdims=1)
    least = graph.add("Max", count, graph.constant("one", 1), name="sequence.least")
    return graph.add("Div", total, least, name="sequence.pooled")


def _norm(graph: Graph, norm: nn.LayerNorm, x: str, name: str) -> str:
    scale, shift = (graph.constant(f"{name}.{part}", plain(value)) for part, value in norm.named_parameters())
    return graph.add("LayerNormalization", x, scale, shift, name=name, axis=-1, epsilon=norm.eps)


def _times(graph: Graph, layer: nn.Linear, x: str, name: str) -> str:
    """(N, L, inputs) -> (N, L, outputs)."""
    product = graph.add("MatMul", x, graph.constant(f"{name}.weight", plain(layer.weight).T), name=f"{name}.product")
    if layer.bias is None:
        return product
    return graph.add("Add", product, graph.constant(f"{name}.bias", plain(layer.bias)), name=name)


def _cut(graph: Graph, x: str, stop: str, axis: int, name: str) -> str:
    """The first `stop` of an axis, or as many as there are."""
    return graph.add("Slice", x, _whole(graph, "start", [0]), stop, _whole(graph, f"axis_{axis}", [axis]), name=name)


def _whole(graph: Graph, name: str, values: list[int]) -> str:
    return graph.constant(name, values, np.int64)


__all__ = ["sequence_grain"]
