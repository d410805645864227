"""What was delivered: the files of each arrival day, held against the producer's own list where there is one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os.path import abspath
from pathlib import Path
from typing import Any

from jobs.ingest.layouts import (
    JSON_LINES,
    Layout,
    Layouts,
    as_layouts,
    check_layout,
    layout_of,
    open_raw,
    parquet_problem,
    pattern_regex,
    whole_lines,
)
from jobs.runtime.errors import Blocked, InputError

PRODUCER = "_PRODUCER.json"
PATTERN_MARKS = "*?[]{}\\:"
"""Spark reads a path with one of these as a pattern, which may name other files, or as a URL."""


@dataclass(frozen=True)
class RawFile:
    """One raw file: its day, its name below the raw root, where it lies, its bytes, and how records lie in it."""

    day: str
    name: str
    path: str
    bytes: int
    layout: Layout = JSON_LINES


@dataclass(frozen=True)
class Delivery:
    """The raw files of one arrival day; `promised_rows` maps a name to the producer's row count."""

    day: str
    files: tuple[RawFile, ...] = ()
    promised_rows: Mapping[str, int] = field(default_factory=dict)


def find_deliveries(
    root: Path, day: str, earlier: Iterable[str], patterns: Iterable[str] | Layouts, allow_empty: bool = False
) -> list[Delivery]:
    """The delivery of `day` and of those of `earlier` that have files, ascending by day.

    `patterns` (of * and ?) alone mean files of JSON lines; a mapping gives each pattern its layouts.
    Raises InputError where the raw root is missing or a CSV header or Parquet footer is not as declared, Blocked
    where `day` has no file (unless `allow_empty`) or a producer's list disagrees with what lies there.
    """
    if not root.is_dir():
        raise InputError(f"paths.raw = {str(root)!r}: no such folder; expected one that holds dt=YYYY-MM-DD folders")
    layouts = as_layouts(patterns)
    found = [delivery for d in sorted(earlier) if (delivery := _delivery(root, d, layouts)).files]
    today = _delivery(root, day, layouts)
    if not today.files and not allow_empty:
        what = "no raw file" if (root / f"dt={day}").is_dir() else "no such folder"
        raise Blocked(f"{root / f'dt={day}'}: {what}; expected files named {_expected(layouts)}")
    return [*found, today]


def _delivery(root: Path, day: str, layouts: Layouts) -> Delivery:
    folder = root / f"dt={day}"
    files = files_in(folder, day, f"dt={day}/", layouts)
    promised = _check_producer(folder, [Path(f.path) for f in files], layouts)
    for file in files:
        check_layout(file.path, file.layout)
    return Delivery(day, files, {f"dt={day}/{name}": rows for name, rows in promised.items()})


def files_in(folder: Path, day: str, prefix: str, layouts: Layouts) -> tuple[RawFile, ...]:
    """The raw files that lie in a folder itself, by name; each name in the ledger begins with `prefix`."""
    there = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    claimed = [(p, layout) for p in there if (layout := layout_of(p.name, layouts))]
    for path, _ in claimed:
        _check_place(path)
    # abspath and not absolute(): Spark names files without "..", and what it counts is found again by name.
    return tuple(RawFile(day, prefix + p.name, abspath(p), p.stat().st_size, layout) for p, layout in claimed)


def _check_place(path: Path) -> None:
    """Raises InputError where Spark would not read exactly this file, or where it is a link out of its folder."""
    marks = sorted(set(abspath(path)) & set(PATTERN_MARKS))
    if marks:
        raise InputError(f"{path}: its path holds {' '.join(marks)}; expected none of {' '.join(PATTERN_MARKS)}")
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise InputError(f"{path}: is a link to {path.resolve()}; expected the file itself, or a link within its folder")


def _expected(layouts: Layouts) -> str:
    """What files would have been taken, in words."""
    words = []
    for pattern, choices in layouts.items():
        endings = [ending for layout in choices for ending in layout.suffixes]
        words.append(f"{pattern} ({', '.join(endings)}, plain or .gz)" if endings else pattern)
    return " or ".join(words)


def _check_producer(folder: Path, paths: list[Path], layouts: Layouts) -> dict[str, int]:
    """Promised rows by file name. Raises Blocked where presence or size differs, InputError for an unreadable list."""
    if not (folder / PRODUCER).is_file():
        return {}
    listed = {name: entry for name, entry in _listed(folder / PRODUCER).items()
              if any(re.match(pattern_regex(pattern), Path(name).name) for pattern in layouts)}
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
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
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
        if problem := _problem(file):
            ending = Path(file.path).suffix
            return InputError(f"{file.path}: cannot be read to its end ({problem}); expected a whole {ending} file")
        if file.bytes == 0 and file.path.endswith(".gz"):
            return InputError(f"{file.path}: has 0 bytes; expected a whole .gz file (an empty one has 20)")
    return None


def _problem(file: RawFile) -> str | None:
    if file.layout.format == "parquet":
        return parquet_problem(file.path)
    try:
        with open_raw(file.path) as handle:
            for _ in whole_lines(handle, file.path):
                pass
    except (OSError, EOFError, ValueError) as error:
        return str(error)
    return None
