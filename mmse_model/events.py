"""Event files for TensorBoard: losses of every step, figures of every epoch. `tensorboard --logdir FOLDER` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Events:
    """Writes scalars while a run is under way; nothing without a folder, as on all ranks but the first."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._writer = folder, None

    @contextmanager
    def from_step(self, step: int) -> Iterator[None]:
        """Opens a file for what follows `step`; what an interrupted run had written after it is hidden by TensorBoard."""
        if self._folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=step + 1)
        try:
            yield
        finally:
            if self._writer is not None:
                self._writer.close()

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """Losses, gradient norm and learning rate after a step, below `step/`."""
        self._scalars("step", step, figures)

    def epoch(self, step: int, record: Mapping[str, Any]) -> None:
        """Mean losses, speed and validation figures after an epoch that ended with `step`, below `epoch/` and `validation/`."""
        self._scalars("epoch", step, {n: v for n, v in record.items() if isinstance(v, float)})
        self._scalars("validation", step, record["validation"])

    def _scalars(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)
