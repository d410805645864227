"""Does an export give, by its own files alone, the ids and vectors that the model gave?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jobs.export.card import check_files
from jobs.export.files import VECTORS
from jobs.export.packages import required
from jobs.runtime.errors import Blocked, InputError

TOLERANCE = 1e-5
"""Largest difference of any component."""
SHOWN = 60
_BATCH = 256


@dataclass(frozen=True)
class Parity:
    """How many test vectors were computed again, and the largest difference of any component."""

    queries: int
    largest: float


def check_export(folder: Path) -> Parity:
    """Carries every test vector out again with the reference reader, from text to vector.

    Raises InputError where a file is missing, altered or unreadable, Blocked where normalised text, tokens or ids are other
    ones than the model's, or a component differs by more than TOLERANCE.
    """
    required("onnxruntime")
    from jobs.export.reader import QueryReader

    check_files(folder)
    queries, largest = 0, 0.0
    try:
        reader = QueryReader(folder)
        with open(folder / VECTORS, encoding="utf-8") as lines:
            while batch := [json.loads(line) for line in islice(lines, _BATCH)]:
                largest = max(largest, _largest_difference(reader, batch))
                queries += len(batch)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: not an export that can be carried out ({' '.join(str(error).split())[:200]})") from None
    if not queries:
        raise InputError(f"{folder / VECTORS}: no test vector; expected at least one")
    return Parity(queries, largest)


def _largest_difference(reader: Any, batch: list[dict[str, Any]]) -> float:
    for line in batch:
        found = reader.steps(line["text"])
        for step in ("normalised", "tokens", "ids"):
            if found[step] != line[step]:
                raise Blocked(f"query {line['text'][:SHOWN]!r}: {step} = {found[step]!r:.200}; the model has {line[step]!r:.200}")
    vectors = reader.encode([line["text"] for line in batch])
    apart = np.abs(vectors - np.array([line["vector"] for line in batch], np.float32)).max(1)
    worst = int(np.argmax(apart))
    if not apart.max() <= TOLERANCE:  # a NaN is no small difference
        raise Blocked(f"query {batch[worst]['text'][:SHOWN]!r}: the ONNX graph differs from the model by {apart[worst]:.1e}; "
                      f"expected at most {TOLERANCE:.0e}")
    return float(apart.max())
