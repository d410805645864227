"""Unit vectors in clusters of unequal size, as embeddings files, the same at every run: what the index is measured on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.index.vectors import pack_vectors
from schemas import EMBEDDINGS

DIMENSION = 128
CLUSTERS = 20_000


@dataclass(frozen=True)
class Shape:
    """How vectors lie around the centres of their clusters, of which the n-th largest has n^-exponent of the largest one's share.

    `noise`: length of what a vector has beyond its centre, before both are scaled to length 1. `directions`: it lies in so many,
    others for each cluster; 0 is all DIMENSION, in which no two vectors of a cluster are near one another.
    """

    exponent: float
    noise: float
    directions: int = 0


SHAPES = {"round": Shape(1.0, 0.5), "thin": Shape(0.8, 0.5, 8)}
GROUP = 65_536


def centres() -> np.ndarray:
    """float32 (CLUSTERS, DIMENSION), unit norm."""
    return unit(np.random.default_rng(1).standard_normal((CLUSTERS, DIMENSION), dtype=np.float32))


def unit(vectors: np.ndarray) -> np.ndarray:
    """(N, D), each divided by its length."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@lru_cache(maxsize=1)
def bases(directions: int) -> np.ndarray:
    """float32 (CLUSTERS, directions, DIMENSION): in which directions a cluster's vectors lie."""
    drawn = np.random.default_rng(2).standard_normal((CLUSTERS, directions, DIMENSION), dtype=np.float32)
    return drawn / np.float32(np.sqrt(DIMENSION))


def draw(block: int, rows: int, around: np.ndarray, shape: Shape = SHAPES["round"]) -> np.ndarray:
    """float32 (rows, DIMENSION) of the block with that number: other numbers are other vectors of the same clusters."""
    generator, shares = np.random.default_rng((1, block)), np.arange(1, CLUSTERS + 1) ** -shape.exponent
    chosen = np.minimum(np.searchsorted(np.cumsum(shares) / shares.sum(), generator.random(rows)), CLUSTERS - 1)
    noise = generator.standard_normal((rows, shape.directions or DIMENSION), dtype=np.float32)
    noise *= shape.noise / np.sqrt(noise.shape[1])
    if shape.directions:
        parts = [slice(low, low + 4_096) for low in range(0, rows, 4_096)]
        noise = np.concatenate([np.einsum("nr,nrd->nd", noise[part], bases(shape.directions)[chosen[part]]) for part in parts])
    noise += around[chosen]
    return unit(noise)


def blocks(rows: int, shape: Shape = SHAPES["round"]) -> Iterator[tuple[int, np.ndarray]]:
    """First dense id and vectors of every block of GROUP."""
    around = centres()
    for block, first in enumerate(range(0, rows, GROUP)):
        yield first, draw(block, min(GROUP, rows - first), around, shape)


def held_out(rows: int, shape: Shape = SHAPES["round"]) -> np.ndarray:
    """float32 (rows, DIMENSION): vectors of no embeddings file."""
    return draw(1 << 30, rows, centres(), shape)


def write_embeddings(folder: Path, rows: int, shape: Shape = SHAPES["round"]) -> list[Path]:
    """Files of one row group each, in id order; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{n:05d}.parquet" for n in range(-(-rows // GROUP))]
    if not all(path.exists() for path in paths):
        for path, (first, vectors) in zip(paths, blocks(rows, shape)):
            ids = np.arange(first, first + len(vectors))
            names = pa.array([f"o{n}" for n in ids.tolist()])
            columns = [pa.array(ids), names, pack_vectors(vectors), pa.array(ids)]
            table = pa.Table.from_arrays(columns, schema=EMBEDDINGS.arrow_schema())
            pq.write_table(table, path.with_suffix(".draft"), compression="none", use_dictionary=False)
            path.with_suffix(".draft").rename(path)
    return paths


def main() -> None:
    """Writes the files by themselves, so that a measured process has not drawn them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_vectors", description="Embeddings files.")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="round")
    chosen = parser.parse_args()
    write_embeddings(chosen.folder, chosen.vectors, SHAPES[chosen.shape])


if __name__ == "__main__":
    main()
