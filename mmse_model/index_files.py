"""What an index folder holds: `index.json`, the trained index and the shards, each with its digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CARD = "index.json"
TRAINED = "trained.faiss"
FORMAT = 1


class BrokenIndex(ValueError):
    """An index folder that cannot be served; one sentence that names the file."""


@dataclass(frozen=True)
class Shard:
    """One shard file: the vectors of the dense ids in [first, end)."""

    path: str
    first: int
    end: int
    rows: int
    bytes: int
    sha256: str
    ids_sha256: str


@dataclass(frozen=True)
class IndexCard:
    """Everything a reader needs to know of an index; `model`, `embeddings` and `items` are content hashes."""

    codec: str
    dimension: int
    lists: int
    probes: int
    vectors: int
    shards: tuple[Shard, ...]
    trained_sha256: str
    training_digest: str
    model: str
    embeddings: str
    items: str
    numbering: str | None
    faiss: str
    figures: dict[str, Any] = field(default_factory=dict)
    metric: str = "L2"
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Writes `index.json`."""
        (folder / CARD).write_text(json.dumps(asdict(self), indent=1, sort_keys=True), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> IndexCard:
        """Reads `index.json`. Raises BrokenIndex where it is missing, damaged or of another format."""
        path = folder / CARD
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BrokenIndex(f"{path}: cannot be read ({error.strerror})") from None
        except ValueError:
            raise BrokenIndex(f"{path}: not JSON") from None
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            found = body.get("format") if isinstance(body, dict) else type(body).__name__
            raise BrokenIndex(f"{path}: format = {found!r}; expected {FORMAT}: build the index again")
        try:
            body["shards"] = tuple(Shard(**shard) for shard in body["shards"])
            card = IndexCard(**body)
        except (KeyError, TypeError) as error:
            raise BrokenIndex(f"{path}: not the card of an index ({error})") from None
        for shard in card.shards:
            if Path(shard.path).name != shard.path:
                raise BrokenIndex(f"{path}: names the shard {shard.path!r}; expected a file of its own folder")
        return card


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def shard_fault(folder: Path, shard: Shard, hashes: bool = True) -> str | None:
    """What is wrong with a shard's file, in one sentence, or None; `hashes` reads every byte."""
    path = folder / shard.path
    if not path.is_file():
        return f"{path}: missing; index.json lists it with {shard.rows} vectors"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"{path}: {size} bytes; index.json says {shard.bytes}"
    if hashes and (found := file_digest(path)) != shard.sha256:
        return f"{path}: SHA-256 {found[:12]}...; index.json says {shard.sha256[:12]}..."
    return None
