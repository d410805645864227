"""How many neighbours items keep from one day to the next, on ordinary days and faulty ones: python -m benchmarks.neighbours

Simulates a shop and runs its jobs from the raw log to the embeddings, night by night, each night twice: with the model of the
night before, then with one trained anew. The last night more models are trained, from other seeds. The figures of all these
are those that embed_items put into its manifests. Then the last model reads a sample of the catalogue as ordinary and faulty
feeds would tell it, and the vectors are compared with those of the true one, by the same function. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.machine import machine
from jobs.index.neighbours import ASKED, NEAREST, NEW_MODEL, SAME_MODEL, SAMPLE, kept_share
from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import run_span, span
from jobs.runtime.config import Config
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder
from mmse_model.encoder import Encoder

LAST = date(2026, 1, 31)
READ = ("title", "brand", "category_path", "shop", "price")
Item = dict[str, Any]
Draw = np.random.Generator


def config_in(folder: Path, days: int, requests: int, items: int) -> Config:
    """A shop of so many days in `folder`, whose model serves a week."""
    ensure_user_key(folder / "key")
    return Config.model_validate({
        "paths": {name: str(folder / name) for name in ("raw", "warehouse", "reports")},
        "ingest": {"user_key_file": str(folder / "key"), "catch_up_days": days - 1},
        "market": {"items": items, "requests": days * requests, "days": days}, "item_stream": {"entries": 5 * items},
    })


def embedded(config: Config, day: date, first: str) -> dict[str, float]:
    """The figures of the day's embeddings after the jobs from `first` to embed_items."""
    run_span(span(first, "embed_items"), config, day)
    metrics = Manifest.read(published(config, "embeddings", day)).metrics
    return {name: round(metrics[name], 4) for name in (SAME_MODEL, NEW_MODEL) if name in metrics}


def published(config: Config, dataset: str, day: date) -> Path:
    """The folder of the published run."""
    warehouse, dt = Path(config.paths.warehouse), day.isoformat()
    return run_folder(warehouse, dataset, dt, str(SnapshotLog(warehouse).head().run(dataset, dt)))


def retrained(config: Config, seed: int | None = None) -> Config:
    """The same settings, where every day has a model of its own; from another seed where one is given."""
    train = config.train.model_copy(update={"every_days": 1})
    return config.model_copy(update={"train": train, "seed": config.seed if seed is None else seed})


def nights(config: Config, days: int, seeds: int) -> dict[str, list[float]]:
    """Figures by what was done: the same model again, one trained anew, one from another seed."""
    first = LAST - timedelta(days=days)
    embedded(config, first, "ingest_logs")
    found: dict[str, list[float]] = {"same model": [], "trained anew": [], "other seed": []}
    for n in range(1, days + 1):
        day = first + timedelta(days=n)
        found["same model"].append(embedded(config, day, "ingest_logs")[SAME_MODEL])
        found["trained anew"].append(embedded(retrained(config), day, "train_model")[NEW_MODEL])
    for seed in range(seeds):
        found["other seed"].append(embedded(retrained(config, 100 + seed), LAST, "train_model")[NEW_MODEL])
    return found


def feeds(config: Config) -> dict[str, float]:
    """Figures of the last model where a sample of the last day's items is told in another way than the day before."""
    items = pq.read_table(published(config, "items", LAST), columns=["available", *READ]).to_pylist()
    draw = np.random.default_rng(config.seed)
    available = [item for item in items if item["available"]]
    sample = [available[n] for n in draw.permutation(len(available))[:SAMPLE]]
    encoder = Encoder.open(published(config, "model", LAST))
    true = encode(encoder, sample)
    found = {
        name: kept_share(encode(encoder, change(sample, draw)), true, ASKED, NEAREST) for name, change in FEEDS.items()
    }
    found["vectors of other items"] = kept_share(np.roll(true, 1, axis=0), true, ASKED, NEAREST)
    return {name: round(share, 4) for name, share in found.items()}


def encode(encoder: Encoder, items: Sequence[Item]) -> np.ndarray:
    """float32 (N, D)."""
    return encoder.encode_items(*([item[name] for item in items] for name in READ))


def some(share: float, **changes: Callable[[Any], Any]) -> Callable[[Sequence[Item], Draw], list[Item]]:
    """A feed in which that share of the items has the columns changed."""
    def change(items: Sequence[Item], draw: Draw) -> list[Item]:
        hit = draw.random(len(items)) < share
        return [item | {name: new(item[name]) for name, new in changes.items()} if h else item for item, h in zip(items, hit)]

    return change


def titles_of_others(items: Sequence[Item], _: Draw) -> list[Item]:
    """Each item has the title of the one before."""
    return [item | {"title": other["title"]} for item, other in zip(items, [items[-1], *items])]


def halved(title: str) -> str:
    """The first half of the words."""
    words = title.split()
    return " ".join(words[: -(-len(words) // 2)])


FEEDS = {
    "a tenth of the prices halved": some(0.1, price=lambda price: price and price / 2),
    "a third of the prices halved": some(0.33, price=lambda price: price and price / 2),
    "all prices halved": some(1, price=lambda price: price and price / 2),
    "a twentieth of the titles with a word more": some(0.05, title=lambda title: title + " new"),
    "all titles with a word more": some(1, title=lambda title: title + " new"),
    "all prices in cents": some(1, price=lambda price: price and price * 100),
    "no brands": some(1, brand=lambda _: None),
    "no categories": some(1, category_path=lambda _: None),
    "all titles cut in half": some(1, title=halved),
    "a tenth of the titles cut in half": some(0.1, title=halved),
    "titles of other items": titles_of_others,
}


def main(arguments: list[str] | None = None) -> None:
    """Simulates, runs the nights, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description="Neighbours kept from day to day.")
    parser.add_argument("--nights", type=int, default=3, help="nights after the first")
    parser.add_argument("--before", type=int, default=7, help="days of log before the first night")
    parser.add_argument("--seeds", type=int, default=2, help="more models of the last night")
    parser.add_argument("--requests", type=int, default=12_500, help="requests of people a day")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-neighbours-", dir=chosen.folder) as name:
        config = config_in(Path(name), chosen.before + 1 + chosen.nights, chosen.requests, chosen.items)
        run_span(("simulate_market",), config, LAST)
        found = nights(config, chosen.nights, chosen.seeds)
        print(json.dumps({"items": chosen.items, **found, **feeds(config), **machine()}))


if __name__ == "__main__":
    main()
