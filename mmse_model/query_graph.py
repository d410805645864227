"""The query tower as an ONNX graph: ids of each text grain in, the query vector out.

Built node by node from plain operators of opset 17, so that small runtimes can carry it out, and not traced: the tower's own
pooling is made for sparse gradients. Whoever exports compares the graph with the tower (jobs/export/check.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmse_model.config import SEQUENCE_GRAIN
from mmse_model.fusion import PostFusion
from mmse_model.onnx_graph import Graph, plain
from mmse_model.sequence_graph import sequence_grain
from mmse_model.towers import Head, TwoTower
from schemas.vocabulary import ATTRIBUTE_GRAIN, WORD_GRAIN

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 17, 8
OUTPUT = "query_vector"


def query_graph(model: TwoTower, metadata: dict[str, str]) -> onnx.ModelProto:
    """One input per text grain of the model, int64 (N, L) of any L >= 1 with 0 for padding; `query_vector`, float32 (N, D).

    Where the model has a transformer it reads the words in the places where they stand, the first from the left on.

    The vector is the one that `TwoTower.encode_queries` gives. `metadata` is written into the file.
    Raises ValueError where the graph is not valid ONNX, such as one of 2 GiB and more.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = Graph()
    vector = _query(graph, model)
    graph.add("Identity", vector, name=OUTPUT)
    inputs = [helper.make_tensor_value_info(g, TensorProto.INT64, ["queries", f"{g}_ids"]) for g in model.text]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["queries", model.dimension])
    body = helper.make_graph(graph.nodes, "query_encoder", inputs, [output], graph.tensors)
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="mmse")
    helper.set_model_props(made, metadata)
    onnx.checker.check_model(made, full_check=True)
    return made


def _query(graph: Graph, model: TwoTower) -> str:
    table = graph.constant("token_table", _token_table(model))
    pooled, found = {}, {}
    for grain in model.text:
        pooled[grain], found[grain] = _pool(graph, table, grain, model.table.vectors.shape[1])
    context = graph.add("Concat", *pooled.values(), name="context", axis=1)
    if ATTRIBUTE_GRAIN in model.grains:
        appeal = [model.text[n] for n in model.appeal]
        pooled[ATTRIBUTE_GRAIN] = graph.add("Concat", *(pooled[g] for g in appeal), name="attribute.pooled", axis=1)
        found[ATTRIBUTE_GRAIN] = graph.add("Max", *(found[g] for g in appeal), name="attribute.found")
    if model.sequence is not None:
        pooled[SEQUENCE_GRAIN], found[SEQUENCE_GRAIN] = sequence_grain(graph, model.sequence, table, WORD_GRAIN)
    vectors = [_grain_vector(graph, model.query_heads[g], pooled[g], found[g], g) for g in model.grains]
    there = graph.add("Concat", *(found[g] for g in model.grains), name="found", axis=1)
    if isinstance(model.fusion, PostFusion):
        return _post_fused(graph, model.fusion, vectors, context, there)
    mixed = graph.linear(model.fusion.project_query, graph.add("Concat", *vectors, name="grains", axis=1), "project_query")
    return graph.unit(mixed, "fused")


def _token_table(model: TwoTower) -> np.ndarray:
    """Float32 (rows, W + 1): each token's vector times its weight exp(a), and the weight; padding's row is zero.

    Rows after the last text grain, which items alone use, are left out.
    """
    rows = max(model.layout.ranges[g].stop for g in model.text)
    weights = model.table.log_weights.detach()[:rows].exp()
    table = torch.cat([model.table.vectors.detach()[:rows] * weights, weights], 1)
    table[0] = 0
    return plain(table)


def _pool(graph: Graph, table: str, grain: str, width: int) -> tuple[str, str]:
    """The weighted mean of a grain's tokens (N, W), zero without a token, and 1.0 or 0.0 (N, 1): is there one?"""
    second = graph.constant("second_axis", [1], np.int64)
    rows = graph.add("Gather", table, grain, name=f"{grain}.rows")
    sums = graph.add("ReduceSum", rows, second, name=f"{grain}.sums", keepdims=0)
    sizes = graph.constant("vector_and_weight", [width, 1], np.int64)
    total, weight = graph.split("Split", sums, sizes, names=[f"{grain}.total", f"{grain}.weight"], axis=1)
    ids = graph.add("ReduceSum", grain, second, name=f"{grain}.id_sum", keepdims=1)
    some = graph.add("Greater", ids, graph.constant("no_id", 0, np.int64), name=f"{grain}.some")
    found = graph.add("Cast", some, name=f"{grain}.found", to=1)
    divisor = graph.add("Where", some, weight, graph.constant("one", 1), name=f"{grain}.divisor")
    return graph.add("Div", total, divisor, name=f"{grain}.pooled"), found


def _grain_vector(graph: Graph, head: Head, pooled: str, found: str, grain: str) -> str:
    """(N, d) unit vector; zero where the grain is empty."""
    value = graph.linear(head.project, pooled, f"{grain}.project")
    if head.residual is not None:
        first, _, second = head.residual
        bent = graph.gelu(graph.linear(first, pooled, f"{grain}.hidden"), f"{grain}.gelu")
        value = graph.add("Add", value, graph.linear(second, bent, f"{grain}.residual"), name=f"{grain}.head")
    return graph.add("Mul", graph.unit(value, f"{grain}.unit"), found, name=f"{grain}.vector")


def _post_fused(graph: Graph, fusion: PostFusion, vectors: list[str], context: str, there: str) -> str:
    """`sqrt(G) w_g u_g`, grain after grain (mmse_model.fusion)."""
    logits = graph.linear(fusion.weigh, graph.add("Concat", context, there, name="weigh.input", axis=1), "weigh")
    some = graph.add("Cast", there, name="weigh.some", to=9)
    lowest = graph.constant("lowest", torch.finfo(torch.float32).min)
    shares = graph.add("Softmax", graph.add("Where", some, logits, lowest, name="weigh.masked"), name="weigh.shares", axis=1)
    weights = graph.add("Mul", shares, there, name="weights")
    names = [f"weights.{n}" for n in range(len(vectors))]
    sizes = graph.constant("one_each", [1] * len(vectors), np.int64)
    each = graph.split("Split", weights, sizes, names=names, axis=1)
    weighted = [graph.add("Mul", v, w, name=f"{v}.weighted") for v, w in zip(vectors, each)]
    scale = graph.constant("root_of_grains", fusion.grains**0.5)
    return graph.add("Mul", graph.add("Concat", *weighted, name="grains", axis=1), scale, name="fused")


__all__ = ["OPSET", "OUTPUT", "query_graph"]
