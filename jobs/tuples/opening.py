"""Whether the trainer can open what was written: Petastorm reads a file of each split before the day is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from jobs.runtime.logs import log

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def first_files(paths: Sequence[str]) -> list[Path]:
    """The first file, by name, of every folder of the paths, which may be `file:` URIs."""
    first: dict[Path, Path] = {}
    for path in sorted(Path(unquote(urlparse(text).path)) for text in paths):
        first.setdefault(path.parent, path)
    return list(first.values())


def files_not_opened(written: DataFrame, shapes: Mapping[str, int]) -> float:
    """How many of the first files of the splits the trainer's own reader refuses; each refusal goes to the log.

    It compares columns, types and the bytes of every packed value with the declared ones and `shapes`.
    """
    return float(sum(_refused(path, shapes) for path in first_files(written.inputFiles())))


def _refused(path: Path, shapes: Mapping[str, int]) -> bool:
    from mmse_model.packed import tuple_table
    from mmse_model.packed_files import PackedError

    try:
        table = tuple_table([path], shapes)
        for _ in table.read(table.files):
            pass
    except PackedError as error:
        log("the trainer cannot open a file", reason=str(error))
        return True
    return False
