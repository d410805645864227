"""What an index folder holds: `index.json`, the trained index, the shards and what days since have changed, each with its digest.

Generation 0 is what was built or merged at once; generation n is the n-th delta since. A tombstone of a generation holds for
every older one: an id that is changed has its vector in the newest generation that holds it, one that is removed in none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CARD = "index.json"
TRAINED = "trained.faiss"
ASSIGNER = "assigner.faiss"
"""The centroids once more, in cells, by which a build finds a vector's list; only where they are many."""
FORMAT = 1


class BrokenIndex(ValueError):
    """An index folder that cannot be served; one sentence that names the file."""


@dataclass(frozen=True)
class IndexFile:
    """A file of the index about the dense ids in [first, end)."""

    path: str
    first: int
    end: int
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Shard(IndexFile):
    """One shard file: the vectors of its ids; `ids_sha256` is the digest of the set of them."""

    ids_sha256: str


@dataclass(frozen=True)
class Tombstones(IndexFile):
    """A file of dense ids, int64 little-endian, ascending: what older generations hold of them is dead."""


@dataclass(frozen=True)
class Delta:
    """What changed between two runs of embeddings: shards of added and changed items, tombstones of changed and removed ones.

    `embeddings` is the content hash of the later run.
    """

    embeddings: str
    added: int
    changed: int
    removed: int
    shards: tuple[Shard, ...]
    tombstones: tuple[Tombstones, ...]

    @staticmethod
    def from_json(body: dict[str, Any]) -> Delta:
        """A delta as `index.json` holds it. Raises KeyError or TypeError where it is none."""
        shards = tuple(Shard(**shard) for shard in body["shards"])
        return Delta(**{**body, "shards": shards, "tombstones": tuple(Tombstones(**t) for t in body["tombstones"])})


@dataclass(frozen=True)
class IndexCard:
    """Everything a reader needs to know of an index; `model`, `embeddings` and `items` are content hashes.

    `vectors` counts the live ones. `trained_vectors` and `trained_figures` are what the index was like when its quantizer
    was trained, `churned` how many items were added, changed or removed since. `assigner_sha256` is None where every vector was
    compared with every centroid. `probes` lists are searched, and `refine` times as many hits as are asked for compared again,
    where the codec has codes for that.
    """

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
    deltas: tuple[Delta, ...] = ()
    trained_vectors: int = 0
    trained_figures: dict[str, float] = field(default_factory=dict)
    churned: int = 0
    assigner_sha256: str | None = None
    refine: int = 1
    metric: str = "L2"
    format: int = FORMAT

    def every_shard(self) -> Iterator[tuple[int, Shard]]:
        """All shards, each after the number of its generation, oldest first."""
        for generation, shards in enumerate((self.shards, *(delta.shards for delta in self.deltas))):
            yield from ((generation, shard) for shard in shards)

    def files(self) -> Iterator[IndexFile]:
        """Every file but the trained index and the card itself."""
        yield from self.shards
        for delta in self.deltas:
            yield from (*delta.shards, *delta.tombstones)

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
            body["deltas"] = tuple(Delta.from_json(delta) for delta in body.get("deltas", ()))
            card = IndexCard(**body)
        except (KeyError, TypeError) as error:
            raise BrokenIndex(f"{path}: not the card of an index ({error})") from None
        for file in card.files():
            if Path(file.path).name != file.path:
                raise BrokenIndex(f"{path}: names the shard {file.path!r}; expected a file of its own folder")
        return card


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def shard_fault(folder: Path, shard: IndexFile, hashes: bool = True) -> str | None:
    """What is wrong with a file of the index, in one sentence, or None; `hashes` reads every byte."""
    path = folder / shard.path
    if not path.is_file():
        return f"{path}: missing; index.json lists it with {shard.rows} rows"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"{path}: {size} bytes; index.json says {shard.bytes}"
    if hashes and (found := file_digest(path)) != shard.sha256:
        return f"{path}: SHA-256 {found[:12]}...; index.json says {shard.sha256[:12]}..."
    return None


def dead_ids(
    card: IndexCard, folder: Path, generation: int, first: int = 0, end: int | None = None, *, hashes: bool = True
) -> np.ndarray:
    """Ids of [first, end) that are dead in a generation, int64 (n,), ascending: the tombstones of every later one.

    Raises BrokenIndex that names a file of tombstones which is missing, truncated or altered.
    """
    found = [np.empty(0, dtype=np.int64)]
    for delta in card.deltas[generation:]:
        for stones in delta.tombstones:
            if stones.end > first and (end is None or stones.first < end):
                found.append(read_tombstones(folder, stones, hashes))
    ids = np.unique(np.concatenate(found))
    return ids[(ids >= first) & (ids < (np.inf if end is None else end))]


def write_tombstones(folder: Path, name: str, first: int, end: int, ids: np.ndarray) -> Tombstones:
    """Writes ascending ids of [first, end) as a file of that name."""
    path = folder / name
    path.write_bytes(np.ascontiguousarray(ids, dtype="<i8").tobytes())
    return Tombstones(name, first, end, len(ids), path.stat().st_size, file_digest(path))


def read_tombstones(folder: Path, stones: Tombstones, hashes: bool = True) -> np.ndarray:
    """The ids of a file, int64 (n,). Raises BrokenIndex that names it where it is not what the card says."""
    if fault := shard_fault(folder, stones, hashes):
        raise BrokenIndex(fault)
    path = folder / stones.path
    ids = np.fromfile(path, dtype="<i8").astype(np.int64)
    within = not len(ids) or (ids[0] >= stones.first and ids[-1] < stones.end and (np.diff(ids) > 0).all())
    if len(ids) != stones.rows or not within:
        raise BrokenIndex(f"{path}: not {stones.rows} ascending ids of {stones.first}..{stones.end - 1} as index.json says")
    return ids
