"""The figures of an epoch: while it runs, as a line for people, and what they say of going on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmse_model.batch import Batch


@dataclass
class Progress:
    """Figures of one epoch while it runs."""

    batches: int = 0
    rows: int = 0
    waited: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    sums: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def restored(state: Mapping[str, Any]) -> Progress:
        """The figures as `state_dict` had them; their time goes on."""
        fields = {name: value for name, value in state.items() if name != "seconds"}
        return Progress(**fields, started=time.perf_counter() - state["seconds"])

    def state_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        seconds = time.perf_counter() - self.started
        return {"batches": self.batches, "rows": self.rows, "waited": self.waited, "sums": self.sums, "seconds": seconds}

    def add(self, batch: Batch, figures: dict[str, float], waited: float) -> None:
        """Counts one step."""
        self.batches, self.rows, self.waited = self.batches + 1, self.rows + batch.rows, self.waited + waited
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Mean of every figure over the steps so far."""
        return {name: total / self.batches for name, total in self.sums.items()}

    def speed(self) -> dict[str, float]:
        """Seconds, tuples per second and the share of the time spent waiting for data."""
        seconds = time.perf_counter() - self.started
        return {"seconds": seconds, "tuples_per_second": self.rows / seconds, "wait_share": self.waited / seconds}


def without_rise(scores: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` scores are all no higher than one before them; never with a patience of 0."""
    return bool(scores) and 0 < patience <= len(scores) - 1 - scores.index(max(scores))


def describe(record: dict[str, Any]) -> str:
    """One line for people about one epoch."""
    losses = "  ".join(f"{n} {record[n]:.4f}" for n in ("loss", "retrieval", "rank", "title") if n in record)
    recall = "  ".join(f"{n} {v:.3f}" for n, v in record["validation"].items())
    return (
        f"epoch {record['epoch']}: {losses}  {recall}  {record['seconds']:.1f} s, "
        f"{record['tuples_per_second']:,.0f} tuples/s, {record['wait_share']:.0%} waiting"
    )
