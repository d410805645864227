"""Unit vectors in clusters of unequal size, as embeddings files, the same at every run: what the index is measured on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.index.vectors import pack_vectors
from schemas import EMBEDDINGS

DIMENSION = 128
CLUSTERS = 20_000
EXPONENT = 1.0
"""The n-th largest cluster has n^-EXPONENT of the largest one's share."""
NOISE = 0.5
"""Length of what a vector has beyond its cluster's centre, before both are scaled to length 1."""
GROUP = 65_536


def centres() -> np.ndarray:
    """float32 (CLUSTERS, DIMENSION), unit norm."""
    return unit(np.random.default_rng(1).standard_normal((CLUSTERS, DIMENSION), dtype=np.float32))


def unit(vectors: np.ndarray) -> np.ndarray:
    """(N, D), each divided by its length."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def draw(block: int, rows: int, around: np.ndarray) -> np.ndarray:
    """float32 (rows, DIMENSION) of the block with that number: other numbers are other vectors of the same clusters."""
    generator, shares = np.random.default_rng((1, block)), np.arange(1, CLUSTERS + 1) ** -EXPONENT
    chosen = np.searchsorted(np.cumsum(shares) / shares.sum(), generator.random(rows))
    noise = generator.standard_normal((rows, DIMENSION), dtype=np.float32)
    noise *= NOISE / np.sqrt(DIMENSION)
    noise += around[np.minimum(chosen, CLUSTERS - 1)]
    return unit(noise)


def blocks(rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """First dense id and vectors of every block of GROUP."""
    around = centres()
    for block, first in enumerate(range(0, rows, GROUP)):
        yield first, draw(block, min(GROUP, rows - first), around)


def held_out(rows: int) -> np.ndarray:
    """float32 (rows, DIMENSION): vectors of no embeddings file."""
    return draw(1 << 30, rows, centres())


def write_embeddings(folder: Path, rows: int) -> list[Path]:
    """Files of one row group each, in id order; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{n:05d}.parquet" for n in range(-(-rows // GROUP))]
    if not all(path.exists() for path in paths):
        for path, (first, vectors) in zip(paths, blocks(rows)):
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
    chosen = parser.parse_args()
    write_embeddings(chosen.folder, chosen.vectors)


if __name__ == "__main__":
    main()
