"""A toy market for model tests: a layout of 41 rows, batches made by hand, a loader over fixed batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from mmse_model.batch import Batch
from mmse_model.config import AttributeSettings, GrainSettings, GrainsSettings, ModelSettings, StageSettings
from mmse_model.layout import GrainLayout, make_layout

TEXT = GrainSettings(vocabulary=8, bins=2, query_length=2, item_length=3)
LAYOUT: GrainLayout = make_layout(
    GrainsSettings(word=TEXT, bigram=TEXT, trigram=TEXT, attribute=AttributeSettings(bins=2, item_length=4)),
    {"word": 8, "bigram": 8, "trigram": 8, "attribute": 8},
)
SMALL = ModelSettings(dimension=16, token_dimension=8, hidden=4)
STAGES = (
    StageSettings(name="random", source="stream", per_tuple=4),
    StageSettings(name="unclicked", evidence="examined", per_tuple=2, margin=0.1),
    StageSettings(name="clicked", evidence="clicked", per_tuple=1, positive=True, margin=0.2),
    StageSettings(name="ordered", evidence="ordered", per_tuple=1, positive=True, margin=0.3),
)
SLOTS = 4
POSITIVE = torch.tensor([False, False, True, True])
"""Which slots hold positives."""


def ranked_above(stream: int) -> tuple[StageSettings, ...]:
    """The toy's stages with so many stream items in each request's ranking."""
    return (STAGES[0].model_copy(update={"per_tuple": stream}), *STAGES[1:])


def tokens(grain: str, *numbers: int) -> list[int]:
    """Table rows of a grain's tokens, by their number within the grain."""
    return [LAYOUT.ranges[grain].start + n for n in numbers]


def ids(side: str, **grains: list[int]) -> torch.Tensor:
    """One row of ids, (1, Q) or (1, I), with the given token numbers per grain."""
    columns: dict[str, slice] = getattr(LAYOUT, side)
    row = torch.zeros(1, max(s.stop for s in columns.values()), dtype=torch.int32)
    for grain, numbers in grains.items():
        start = columns[grain].start
        row[0, start : start + len(numbers)] = torch.tensor(tokens(grain, *numbers), dtype=torch.int32)
    return row


def random_ids(side: str, rows: int, generator: torch.Generator, empty: float = 0.2) -> torch.Tensor:
    """Rows of random ids; every grain of every row is empty with that probability."""
    columns: dict[str, slice] = getattr(LAYOUT, side)
    found = torch.zeros(rows, max(s.stop for s in columns.values()), dtype=torch.int32)
    for grain, part in columns.items():
        width, grain_rows = part.stop - part.start, LAYOUT.ranges[grain]
        drawn = torch.randint(grain_rows.start, grain_rows.stop, (rows, width), generator=generator, dtype=torch.int32)
        count = torch.randint(1, width + 1, (rows, 1), generator=generator)
        count[torch.rand(rows, 1, generator=generator) < empty] = 0
        found[:, part] = drawn * (torch.arange(width) < count)
    return found


def random_batch(seed: int, rows: int = 6, stream: int = 5, catalogue: int = 12) -> Batch:
    """A batch over a catalogue whose item j always has the same ids; every source expects every item."""
    generator = torch.Generator().manual_seed(seed)
    items = random_ids("item", catalogue, torch.Generator().manual_seed(99))
    dense = torch.stack([torch.randperm(catalogue, generator=generator)[:SLOTS] for _ in range(rows)])
    dense[torch.rand(rows, SLOTS, generator=generator) < 0.3] = -1
    drawn = torch.randint(0, catalogue, (stream,), generator=generator)
    known = torch.where(torch.rand(rows, 2, generator=generator) < 0.5, -1, 3)
    shares = torch.full((rows, SLOTS, 2), 1 / catalogue)
    return Batch(
        query=random_ids("query", rows, generator), dense_ids=dense, items=items[dense.clamp_min(0)], shares=shares,
        known_positives=known, stream_ids=drawn, stream_items=items[drawn],
        stream_title_queries=random_ids("query", stream, generator),
        stream_share=torch.full((stream,), 1 / catalogue), stream_probability=torch.full((stream,), 1 / catalogue),
    )


def two_rows() -> Batch:
    """Row 0: unclicked 5, clicked 1. Row 1: clicked 5, ordered 2. Stream: 5, 7, 7. Row 1 knows 7 as a positive."""
    batch = random_batch(0, rows=2, stream=3)
    dense = torch.tensor([[5, -1, 1, -1], [-1, -1, 5, 2]])
    stream = torch.tensor([5, 7, 7])
    by_item = {n: ids("item", word=[n % 8], attribute=[n % 5]) for n in range(8)}
    items = torch.stack([torch.cat([by_item[max(n, 0)] for n in row]) for row in dense.tolist()])
    return replace(
        batch, dense_ids=dense, items=items, stream_ids=stream, known_positives=torch.tensor([[-1, -1], [7, -1]]),
        stream_items=torch.cat([by_item[n] for n in stream.tolist()]),
    )


class ToyLoader:
    """`steps` random batches an epoch, a pure function of the epoch."""

    def __init__(self, steps: int = 3) -> None:
        self.number_of_steps = steps
        self.position = 0

    def steps(self, epoch: int) -> int:
        return self.number_of_steps

    def epoch(self, number: int) -> Iterator[Batch]:
        for step in range(self.steps(number)):
            yield random_batch(1_000 * number + step)
        self.position = number + 1

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["epoch"]
