"""How a vector is stored: codec by name, and the parts of the FAISS index that holds it.

    flat             float32, exact
    sq8              8 bits a dimension
    rabitq4          4 bits a dimension after a random rotation; distances are estimates (Gao and Long 2024; Gao et al. 2025)
    pq64x4fs+sq8     64 products of 4 bits, scanned in registers (Andre et al. 2015); what they find is compared again in 8 bits

Every index is an IVF index with the L2 metric. `rabitq4` lies in an IndexPreTransform, whose rotation queries go through too (by
Hadamard's transform: D is filled up to a power of two, and a vector's bits do not depend on those rotated with it);
`pq64x4fs+sq8` in an IndexRefine, whose second part has the 8-bit codes in ascending order of dense ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from faiss.class_wrappers import add_to_referenced_objects


@dataclass(frozen=True)
class Codec:
    """What a codec's name stands for.

    `factory`: its name in a FAISS factory string. `rotated`: vectors are turned first. `refined`: there are 8-bit codes too.
    """

    factory: str
    rotated: bool = False
    refined: bool = False


CODECS = {
    "flat": Codec("Flat"),
    "sq8": Codec("SQ8"),
    "rabitq4": Codec("RaBitQ4", rotated=True),
    "pq64x4fs+sq8": Codec("PQ64x4fs", refined=True),
}
PRODUCTS = 64
"""Sub-quantizers of `pq64x4fs+sq8`: the dimension must be a multiple."""


def code_bytes(codec: str, dimension: int) -> int:
    """Bytes of one stored vector, its int64 id not counted."""
    if codec == "rabitq4":
        padded = 1 << max(3, (dimension - 1).bit_length())
        return padded // 2 + 20  # 8 + 12: what corrects the estimate by the signs, and that by the other bits
    return {"flat": 4 * dimension, "sq8": dimension, "pq64x4fs+sq8": PRODUCTS // 2 + dimension}[codec]


def check_dimension(codec: str, dimension: int) -> str | None:
    """Why vectors of that dimension cannot have the codec, in one sentence, or None."""
    if codec != "pq64x4fs+sq8" or not dimension % PRODUCTS:
        return None
    return f"index.codec = {codec}: vectors have {dimension} dimensions; expected a multiple of {PRODUCTS}"


def empty_index(codec: str, dimension: int, lists: int, seed: int) -> Any:
    """An untrained index of the codec; the rotation, where there is one, depends on `seed` alone."""
    kind = CODECS[codec]
    index = faiss.index_factory(dimension, f"IVF{lists},{kind.factory}", faiss.METRIC_L2)
    if kind.rotated:
        rotation = faiss.HadamardRotation(dimension, seed % (1 << 31))
        index = faiss.index_factory(rotation.d_out, f"IVF{lists},{kind.factory}", faiss.METRIC_L2)
        index = _owning(faiss.IndexPreTransform(rotation, index), rotation, index)
    if kind.refined:
        exact = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2)
        index = _owning(faiss.IndexRefine(index, exact), index, exact)
    return index


def _owning(index: Any, *parts: Any) -> Any:
    """The index, which from now on keeps its parts alive: FAISS has only their addresses."""
    for part in parts:
        add_to_referenced_objects(index, part)
    return index


def inverted(index: Any) -> Any:
    """The IVF index inside of an index of any codec."""
    if isinstance(index, faiss.IndexIVF):
        return index
    found = faiss.downcast_index(faiss.extract_index_ivf(index))
    return _owning(found, index)  # else it would be freed with the last name of the whole


def refinement(index: Any) -> Any | None:
    """The 8-bit codes beside the IVF index, an IndexScalarQuantizer, or None."""
    return faiss.downcast_index(index.refine_index) if isinstance(index, faiss.IndexRefine) else None


def turned(index: Any, vectors: np.ndarray) -> np.ndarray:
    """`vectors` (N, D) as the IVF index has them: float32; rotated, to (N, D'), where its codec is. Distances stay."""
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    return _rotation(index).apply(vectors) if isinstance(index, faiss.IndexPreTransform) else vectors


def _rotation(index: Any) -> Any:
    return faiss.downcast_VectorTransform(index.chain.at(0))


__all__ = ["CODECS", "Codec", "check_dimension", "code_bytes", "empty_index", "inverted", "refinement", "turned"]
