"""How the records lie in a raw file: JSON lines, CSV or Parquet, as declared; nothing is guessed from what is inside."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.runtime.errors import ConfigError, InputError

BLOCK = 4 << 20
LONGEST_LINE = 64 << 20
"""Bytes read at a time, and of the longest line that is held in memory: a small .gz may unpack to any length."""


@dataclass(frozen=True)
class Layout:
    """One way of writing records into a file."""

    format: Literal["json", "csv", "parquet"] = "json"
    columns: tuple[str, ...] = ()
    """CSV: every column in the file's order. Parquet: the columns that are read, and must be there; none named: all."""
    separator: str = ","
    quote: str | None = '"'
    header: bool = True
    """CSV: whether the first line names the columns."""
    suffixes: tuple[str, ...] = ()
    """Endings of file names, `.gz` left out; none given: any name is good."""
    source: int = 0
    """Which of several descriptions this layout is of: one file may not fall under two."""

    def takes(self, name: str) -> bool:
        """Whether a file of that name may be laid out so. Names that begin with _ or . are never data."""
        return not name.startswith(("_", ".")) and (not self.suffixes or name.removesuffix(".gz").endswith(self.suffixes))


JSON_LINES = Layout("json", suffixes=(".json", ".jsonl", ".ndjson"))
PARQUET = Layout("parquet", suffixes=(".parquet",))

Layouts = Mapping[str, Sequence[Layout]]
"""Pattern of file names -> the layouts that such files may have, told apart by their suffixes."""


def as_layouts(patterns: Iterable[str] | Layouts) -> Layouts:
    """Patterns alone mean JSON lines."""
    return patterns if isinstance(patterns, Mapping) else {pattern: (JSON_LINES,) for pattern in patterns}


def pattern_regex(pattern: str) -> str:
    """A pattern of * and ? as a regular expression that Python and Java read alike."""
    return "^" + "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern) + "$"


def layout_of(name: str, layouts: Layouts) -> Layout | None:
    """The layout of a file; None where it is none of ours. Raises ConfigError where two different ones claim it."""
    claims = {
        layout: pattern for pattern, choices in layouts.items() if re.match(pattern_regex(pattern), name)
        for layout in choices if layout.takes(name)
    }
    if len(claims) > 1:
        patterns = " and ".join(sorted(repr(pattern) for pattern in set(claims.values())))
        raise ConfigError(f"{name}: is claimed by {len(claims)} layouts (named {patterns}); expected each file to have one")
    return next(iter(claims), None)


def check_layout(path: str, layout: Layout) -> None:
    """Raises InputError, in one sentence, where a CSV header or a Parquet footer is not what the layout declares."""
    if layout.format == "csv" and layout.header:
        _check_header(path, layout)
    if layout.format == "parquet":
        _check_columns(path, layout)


def csv_options(layout: Layout) -> dict[str, Any]:
    """The layout for Python's csv module: strict, a quote within quotes is doubled."""
    quoting = {"quotechar": layout.quote} if layout.quote else {"quoting": csv.QUOTE_NONE}
    return {"delimiter": layout.separator, "doublequote": True, "strict": True, **quoting}


def _check_header(path: str, layout: Layout) -> None:
    try:
        with open_raw(path) as handle:
            line = handle.readline(1 << 20).decode("utf-8-sig").rstrip("\r\n")
        found = next(csv.reader([line], **csv_options(layout)), [])
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: its header line cannot be read ({error}); expected {_names(layout.columns)}") from None
    if tuple(found) != layout.columns:
        raise InputError(f"{path}: the header line names {_names(found)}; expected {_names(layout.columns)}, as declared")


def _check_columns(path: str, layout: Layout) -> None:
    schema = open_parquet(path).schema_arrow
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: has the column {twice[0]!r} twice; expected each name once")
    for name in layout.columns:
        if name not in schema.names:
            raise InputError(f"{path}: has no column {name!r}; it has {_names(schema.names)}")


def open_parquet(path: str) -> pq.ParquetFile:
    """The file with its footer read. Raises InputError where it is no Parquet file, or its footer contradicts itself."""
    try:
        file = pq.ParquetFile(path, buffer_size=1 << 20, coerce_int96_timestamp_unit="us")
        groups = sum(file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups))
    except (pa.ArrowException, OSError, ValueError) as error:  # column names need not be UTF-8
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{path}: is no readable Parquet file ({reason}); expected a whole one") from None
    if groups != file.metadata.num_rows:
        raise InputError(f"{path}: its footer promises {file.metadata.num_rows} rows; its row groups hold {groups}")
    return file


def parquet_problem(path: str) -> str | None:
    """What keeps a Parquet file from being read to its end; None where nothing does."""
    try:
        file = open_parquet(path)
        rows = sum(batch.num_rows for batch in file.iter_batches(4_096, use_threads=False))
    except (InputError, pa.ArrowException, OSError, ValueError) as error:
        return str(error).partition("\n")[0]
    promised = file.metadata.num_rows
    return None if rows == promised else f"its footer promises {promised} rows; its pages hold {rows}"


def _names(names: Iterable[str]) -> str:
    """A list of names, shortened where it is long."""
    found = list(names)
    shown = ", ".join(repr(name) for name in found[:30]) + (f" and {len(found) - 30} more" if len(found) > 30 else "")
    return f"[{shown}]"


def open_raw(path: str) -> BinaryIO:
    """The bytes of a file, through gzip where its name says so."""
    return gzip.open(path) if path.endswith(".gz") else open(path, "rb")


def whole_lines(handle: BinaryIO, path: str) -> Iterator[bytes]:
    """The file in blocks that end with a line's end. Raises ValueError for a line over LONGEST_LINE."""
    rest = handle.read(3)
    if rest == b"\xef\xbb\xbf":  # a byte order mark is no part of the first record
        rest = b""
    while block := handle.read(BLOCK):
        head, newline, tail = block.rpartition(b"\n")
        if newline:
            yield rest + head + newline
            rest = tail
        else:
            rest += block
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"{path}: no line end within {LONGEST_LINE} bytes")
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"
