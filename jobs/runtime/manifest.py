"""What a run says of its files: `_MANIFEST.json`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jobs.runtime.errors import Fenced, InputError
from schemas import Dataset

NAME = "_MANIFEST.json"
ERASED = "_ERASED.json"
"""All that is left of a run that `mmse forget` has rewritten under another name."""
FORMAT = 1


@dataclass(frozen=True)
class FileFacts:
    """One file of a run: name within the run's folder, size in bytes, rows (0 where not Parquet), SHA-256."""

    path: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything needed to trust and to repeat one run of one dataset and day."""

    dataset: str
    dt: str
    run_id: str
    job: str
    rows: int
    files: tuple[FileFacts, ...]
    schema_hash: str
    content_hash: str
    config_hash: str
    code_version: str
    created_at: str
    base_entry: int
    inputs: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Writes `_MANIFEST.json` into the run's folder."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True, default=str)
        (folder / NAME).write_text(text, encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Reads the manifest of a run.

        Raises InputError where it is missing, damaged or of another format, Fenced where people were erased
        from the run since the reader's entry was pinned.
        """
        path = folder / NAME
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            if (folder / ERASED).is_file():
                raise Fenced(f"{folder}: `mmse forget` has erased people from it and published it under another run; "
                             "run again on the newest entry") from None
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError):
            raise InputError(f"{path}: not JSON") from None
        found = body.get("format") if isinstance(body, dict) else type(body).__name__
        if found != FORMAT:
            raise InputError(f"{path}: format = {found!r}; expected {FORMAT}: publish the day again")
        try:
            body["files"] = tuple(FileFacts(**f) for f in body["files"])
            manifest = Manifest(**body)
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not a manifest ({error}): publish the day again") from None
        for file in manifest.files:
            if not stays_inside(file.path):
                raise InputError(f"{path}: names the file {file.path!r}; expected one below its own folder")
        return manifest


def checked_files(folder: Path) -> Manifest:
    """The manifest of a run of which every byte has been compared with it.

    Raises InputError that names a file which is missing or altered, and as `Manifest.read` does.
    """
    manifest = Manifest.read(folder)
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            raise InputError(f"{path}: missing; the manifest names it")
        if (found := file_sha256(path)) != file.sha256:
            raise InputError(f"{path}: SHA-256 {found[:12]}...; the manifest says {file.sha256[:12]}...")
    return manifest


def check_declared(manifest: Manifest, dataset: Dataset) -> None:
    """Raises InputError where the rows were written with other columns than this code declares."""
    if manifest.schema_hash != dataset.schema_hash():
        raise InputError(
            f"{manifest.dataset} dt={manifest.dt}: run {manifest.run_id} was written by code {manifest.code_version} with other "
            f"columns than schemas/ declares now; run {manifest.job} for that day again"
        )


def stays_inside(path: str) -> bool:
    """Whether a relative path names something below the folder that it is taken from."""
    return not os.path.isabs(path) and ".." not in Path(path).parts


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_content_hash(files: Iterable[FileFacts], volatile: Iterable[str] = ()) -> str:
    """Content hash of files that are not rows: names and digests, order-free, `volatile` names left out."""
    skipped = set(volatile)
    lines = sorted(f"{f.path} {f.sha256}" for f in files if f.path not in skipped)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def rows_content_hash(schema_hash: str, rows: int, total: int) -> str:
    """Content hash of rows: the order-free sum of row hashes with the row count and the schema."""
    return hashlib.sha256(f"{schema_hash} {rows} {total}".encode()).hexdigest()
