"""Training files before a row of them is used: readable, of the declared columns, and what their manifest says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow.parquet as pq

from schemas import Dataset


class PackedError(ValueError):
    """A file cannot be used as training data; one sentence that names it."""


@dataclass(frozen=True)
class PackedFile:
    """One Parquet file with what its footer says of it."""

    path: Path
    rows: int
    row_groups: int


class Digests:
    """SHA-256 by file; a file without one is trusted. Several threads may verify files at the same time."""

    def __init__(self, expected: Mapping[Path, str]) -> None:
        self._expected = dict(expected)
        self._locks = {path: Lock() for path in self._expected}
        self._verified: set[Path] = set()

    def verify(self, path: Path) -> None:
        """Reads the file once in the life of this object. Raises PackedError where it is another than expected."""
        if path not in self._expected:
            return
        with self._locks[path]:
            if path in self._verified:
                return
            with open(path, "rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
            if found != self._expected[path]:
                raise PackedError(f"{path}: SHA-256 is {found}; expected {self._expected[path]}, as its manifest says")
            self._verified.add(path)

    def of(self, path: Path) -> str | None:
        """What the file is expected to be."""
        return self._expected.get(path)


def open_files(paths: Sequence[Path], dataset: Dataset) -> tuple[PackedFile, ...]:
    """Footers of the files in name order; files without rows are left out.

    Raises PackedError that names a file which is no readable Parquet or has not the dataset's columns.
    """
    declared = {f.name: f.type for f in dataset.arrow_schema()}
    with ThreadPoolExecutor(8) as pool:
        files = pool.map(lambda path: _open_file(path, declared), sorted(map(Path, paths)))
        return tuple(f for f in files if f.rows)


def _open_file(path: Path, declared: Mapping[str, Any]) -> PackedFile:
    try:
        footer = pq.read_metadata(path)
    except Exception as error:
        raise PackedError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    found = {f.name: f.type for f in footer.schema.to_arrow_schema()}
    for name, kind in declared.items():
        if found.get(name) != kind:
            raise PackedError(f"{path}: column {name} is {found.get(name, 'absent')}; expected {kind}")
    return PackedFile(path, footer.num_rows, footer.num_row_groups)
