"""Checkpoints of a training run: one safetensors file each, its state as JSON in the file's header; no pickle.

A file is written beside its place, flushed to disk and renamed, so that a killed process leaves whole files only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

FORMAT = 1
HEADER = "mmse"
_STATE, _BEST = "step-{:08d}.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Everything training goes on from: tensors by name, and plain data (step, history, figures of the epoch, data position)."""

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin with `prefix.`, without it."""
        return {n.removeprefix(f"{prefix}."): t for n, t in self.tensors.items() if n.startswith(f"{prefix}.")}


class Checkpoints:
    """The checkpoints of one run in a folder of their own; the newest two and the best epoch's weights stay."""

    def __init__(self, folder: str | Path, kept: int = 2) -> None:
        self.folder, self.kept = Path(folder), kept
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, checkpoint: Checkpoint) -> Path:
        """Writes the state after `step` steps and drops what is older than the last `kept`."""
        path = self.folder / _STATE.format(step)
        write_tensors(path, checkpoint.tensors, checkpoint.state)
        for old in self.paths()[: -self.kept]:
            old.unlink()
        return path

    def paths(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(self.folder.glob("step-*.safetensors"))

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint; None before the first. Raises ValueError that names a file which cannot be read."""
        paths = self.paths()
        return Checkpoint(*read_tensors(paths[-1])) if paths else None

    def save_best(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keeps the weights of the best epoch so far."""
        write_tensors(self.folder / _BEST, tensors, {})

    def best(self) -> dict[str, torch.Tensor] | None:
        """The weights of the best epoch so far; None where there is none yet."""
        path = self.folder / _BEST
        return read_tensors(path)[0] if path.exists() else None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Writes tensors and state as one file that is either whole or not there."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    # One key only: safetensors writes several in an order of chance, and equal models must be equal bytes.
    save_file(contiguous, staged, {HEADER: json.dumps({"format": FORMAT, "state": state})})
    with open(staged, "rb+") as handle:
        os.fsync(handle.fileno())
    os.replace(staged, path)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What `write_tensors` wrote. Raises ValueError that names the file where it is damaged or of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own, undocumented type
        raise ValueError(f"{path}: not a readable safetensors file ({' '.join(str(error).split())})") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path}: format = {header.get('format')!r}; expected {FORMAT}")
    return tensors, header["state"]


__all__ = ["Checkpoint", "Checkpoints", "read_tensors", "write_tensors"]
