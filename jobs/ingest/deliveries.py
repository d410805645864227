"""What was delivered: the files of each arrival day, held against the producer's own list where there is one."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.runtime.errors import Blocked, InputError

PRODUCER = "_PRODUCER.json"
SUFFIXES = re.compile(r"\.(json|jsonl|ndjson)(\.gz)?$")


@dataclass(frozen=True)
class RawFile:
    """One raw file: its day, its name below the raw root, where it lies, and its bytes."""

    day: str
    name: str
    path: str
    bytes: int


@dataclass(frozen=True)
class Delivery:
    """The raw files of one arrival day; `promised_rows` maps a name to the producer's row count."""

    day: str
    files: tuple[RawFile, ...] = ()
    promised_rows: Mapping[str, int] = field(default_factory=dict)


def find_deliveries(
    root: Path, day: str, earlier: Iterable[str], patterns: Iterable[str], allow_empty: bool = False
) -> list[Delivery]:
    """The delivery of `day` and of those of `earlier` that have files, ascending by day.

    Raises InputError where the raw root is missing, Blocked where `day` has no file
    (unless `allow_empty`) or a producer's list disagrees with what lies there.
    """
    if not root.is_dir():
        raise InputError(f"paths.raw = {str(root)!r}: no such folder; expected one that holds dt=YYYY-MM-DD folders")
    patterns = tuple(patterns)
    found = [delivery for d in sorted(earlier) if (delivery := _delivery(root, d, patterns)).files]
    today = _delivery(root, day, patterns)
    if not today.files and not allow_empty:
        what = "no raw file" if (root / f"dt={day}").is_dir() else "no such folder"
        names = " or ".join(patterns)
        raise Blocked(f"{root / f'dt={day}'}: {what}; expected files named {names} (.json, .jsonl, .ndjson, plain or .gz)")
    return [*found, today]


def _delivery(root: Path, day: str, patterns: tuple[str, ...]) -> Delivery:
    folder = root / f"dt={day}"
    paths = sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file() and SUFFIXES.search(p.name)})
    promised = _check_producer(folder, paths, patterns)
    files = tuple(RawFile(day, f"dt={day}/{p.name}", str(p.absolute()), p.stat().st_size) for p in paths)
    return Delivery(day, files, {f"dt={day}/{name}": rows for name, rows in promised.items()})


def _check_producer(folder: Path, paths: list[Path], patterns: tuple[str, ...]) -> dict[str, int]:
    """Promised rows by file name. Raises Blocked where presence or size differs, InputError for an unreadable list."""
    if not (folder / PRODUCER).is_file():
        return {}
    listed = {name: entry for name, entry in _listed(folder / PRODUCER).items()
              if any(Path(name).match(pattern) for pattern in patterns)}
    present = {p.name: p.stat().st_size for p in paths}
    for name, entry in sorted(listed.items()):
        if name not in present:
            raise Blocked(f"{folder / name}: missing; {PRODUCER} promises it with {entry['bytes']} bytes")
        if present[name] != entry["bytes"]:
            raise Blocked(f"{folder / name}: has {present[name]} bytes; {PRODUCER} promises {entry['bytes']}")
    for name in sorted(set(present) - set(listed)):
        raise Blocked(f"{folder / name}: not named in {PRODUCER}; expected every file of the day to be listed there")
    return {name: entry["rows"] for name, entry in listed.items()}


def _listed(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(e["path"]): {"bytes": int(e["bytes"]), "rows": int(e["rows"])} for e in entries}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a producer's list; expected {{\"files\": [{{path, bytes, rows}}, ...]}}") from None


def check_rows(deliveries: Iterable[Delivery], counted: Mapping[str, int]) -> None:
    """Raises Blocked where a file holds another number of records than its producer promised."""
    for delivery in deliveries:
        for name, rows in sorted(delivery.promised_rows.items()):
            if counted.get(name, 0) != rows:
                raise Blocked(f"{name}: has {counted.get(name, 0)} rows; {PRODUCER} promises {rows}")


def unreadable_file(files: Iterable[RawFile]) -> InputError | None:
    """The first file that cannot be read to its end, as an error; None where all can.

    Only called once Spark has failed: its own message may name a task, not a file.
    """
    for file in files:
        try:
            with gzip.open(file.path) if file.path.endswith(".gz") else open(file.path, "rb") as handle:
                while handle.read(1 << 20):
                    pass
        except (OSError, EOFError, ValueError) as error:
            return InputError(f"{file.path}: cannot be read to its end ({error}); expected a whole {Path(file.path).suffix} file")
        if file.bytes == 0 and file.path.endswith(".gz"):
            return InputError(f"{file.path}: has 0 bytes; expected a whole .gz file (an empty one has 20)")
    return None
