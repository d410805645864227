"""An ONNX graph, built node by node; every value has a name of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

LEAST_NORM = 1e-12
"""What torch's `normalize` divides by at least."""


class Graph:
    """Nodes and constants in the order in which they are added; every value has a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """A node with one output; returns its name."""
        return self.split(operator, *inputs, names=[name], **attributes)[0]

    def split(self, operator: str, *inputs: str, names: list[str], **attributes: Any) -> list[str]:
        """A node with several outputs."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), names, name=names[0], **attributes))
        return names

    def constant(self, name: str, values: Any, kind: type = np.float32) -> str:
        """A tensor of the file; one that is there already is used again."""
        from onnx import numpy_helper

        if name not in {tensor.name for tensor in self.tensors}:
            self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return name

    def linear(self, layer: torch.nn.Linear, x: str, name: str) -> str:
        """(N, inputs) -> (N, outputs)."""
        parts = [self.constant(f"{name}.{part}", plain(value)) for part, value in layer.named_parameters()]
        return self.add("Gemm", x, *parts, name=name, transB=1)

    def unit(self, x: str, name: str) -> str:
        """Rows scaled to norm 1; zero rows stay zero."""
        norm = self.add("ReduceL2", x, name=f"{name}.norm", axes=[1], keepdims=1)
        least = self.add("Max", norm, self.constant("least_norm", LEAST_NORM), name=f"{name}.divisor")
        return self.add("Div", x, least, name=name)

    def gelu(self, x: str, name: str) -> str:
        """`x (1 + erf(x / sqrt 2)) / 2`; opset 17 has no operator for it."""
        scaled = self.add("Mul", x, self.constant("half_root", 0.5**0.5), name=f"{name}.scaled")
        shifted = self.add("Add", self.add("Erf", scaled, name=f"{name}.erf"), self.constant("one", 1), name=f"{name}.shifted")
        half = self.add("Mul", x, self.constant("half", 0.5), name=f"{name}.half")
        return self.add("Mul", half, shifted, name=name)


def plain(tensor: torch.Tensor) -> np.ndarray:
    """A parameter's values, float32."""
    return tensor.detach().float().numpy()


__all__ = ["Graph", "plain"]
