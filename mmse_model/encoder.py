"""The published model: texts and attributes in, vectors out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmse_model.checkpoints import read_tensors, write_tensors
from mmse_model.config import ModelSettings, StageSettings
from mmse_model.grains import Grains
from mmse_model.layout import GrainLayout
from mmse_model.towers import TwoTower

FORMAT = 1
WEIGHTS, CARD, VOCABULARY = "model.safetensors", "model.json", "vocabulary.json"
Vectors = NDArray[np.float32]


class Encoder:
    """Query and item vectors of one model, on a CPU; safe to share between threads, since nothing in it changes.

    A tower is called for `block` rows at a time. Where these calls are `fixed`, the last is filled up to as many, for the
    number of rows that are multiplied together may decide the last bit of each: then a vector's bits are its text's alone.
    """

    def __init__(
        self, model: TwoTower, grains: Grains, threads: int | None = None, block: int = 1_024, *, fixed: bool = False
    ) -> None:
        self.model, self.grains, self.threads, self.block, self.fixed = model.eval(), grains, threads, block, fixed

    @staticmethod
    def open(folder: str | Path, threads: int | None = None, block: int = 1_024, *, fixed: bool = False) -> Encoder:
        """Opens what `save_model` wrote; `threads` is the number of torch threads of each call (None: torch's own).

        Raises ValueError that names the file which is missing, damaged or does not fit the others.
        """
        folder = Path(folder)
        grains = Grains.load(folder / VOCABULARY)
        settings, layout = _read_card(folder / CARD)
        if layout != grains.layout:
            raise ValueError(f"{folder / VOCABULARY}: other grain layout than {CARD}; expected one model's files")
        with torch.random.fork_rng(devices=[]):
            model = TwoTower(layout, settings)
        tensors, _ = read_tensors(folder / WEIGHTS)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(f"{folder / WEIGHTS}: does not fit {CARD} ({' '.join(str(error).split())})") from None
        return Encoder(model, grains, threads, block, fixed=fixed)

    @property
    def dimension(self) -> int:
        """D: components of every vector."""
        return self.model.dimension

    def encode_queries(self, texts: Sequence[str | None]) -> Vectors:
        """Query vectors (N, D) float32; the zero vector for a query without any token."""
        ids = torch.from_numpy(self.grains.query_ids(texts))
        return self._blocks(self.model.encode_queries, ids)

    def encode_items(
        self, titles: Sequence[str | None], brands: Sequence[str | None], category_paths: Sequence[str | None],
        shops: Sequence[str | None], prices: Sequence[float | None],
    ) -> Vectors:
        """Item vectors (N, D) float32, unit norm; the inner product with a query vector is the score."""
        ids = torch.from_numpy(self.grains.item_ids(titles, brands, category_paths, shops, prices))
        return self._blocks(self.model.encode_items, ids)

    def contributions(self, query: Vectors, items: Vectors) -> dict[str, Vectors]:
        """What each grain adds to the score of a query vector (D,) with item vectors (N, D): grain -> (N,), summing to the score.

        Empty for a model with pre-fusion, whose score is one product of mixed grains.
        """
        if self.model.settings.fusion != "post":
            return {}
        parts = (query * items).reshape(len(items), len(self.model.grains), -1).sum(2)
        return {grain: parts[:, n] for n, grain in enumerate(self.model.grains)}

    def _blocks(self, encode: Callable[[torch.Tensor], torch.Tensor], ids: torch.Tensor) -> Vectors:
        with torch.inference_mode(), torch_threads(self.threads):
            parts = [encode(self._filled(part))[: len(part)].numpy() for part in ids.split(self.block)] if len(ids) else []
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _filled(self, ids: torch.Tensor) -> torch.Tensor:
        """The ids of one call, with copies of its first row where the call is to have `block` rows."""
        missing = self.block - len(ids) if self.fixed else 0
        return torch.cat([ids, ids[:1].expand(missing, -1)]) if missing else ids


def save_model(folder: Path, model: TwoTower, grains: Grains, stages: tuple[StageSettings, ...]) -> None:
    """Writes model.safetensors, model.json and vocabulary.json: everything `Encoder.open` needs."""
    write_tensors(folder / WEIGHTS, model.state_dict(), {})
    card = {
        "format": FORMAT, "dimension": model.dimension, "model": model.settings.model_dump(mode="json"),
        "stages": [s.model_dump(mode="json") for s in stages], "layout": model.layout.to_json(),
    }
    (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True), encoding="utf-8")
    grains.save(folder / VOCABULARY)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Runs a block with so many torch threads; None leaves them."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read_card(path: Path) -> tuple[ModelSettings, GrainLayout]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"format = {card['format']!r}; expected {FORMAT}")
        return ModelSettings.model_validate(card["model"]), GrainLayout.from_json(card["layout"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a model card ({' '.join(str(error).split())})") from None


__all__ = ["Encoder", "save_model", "torch_threads"]
