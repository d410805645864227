"""`mmse export`: the query encoder of a release, written beside its place, checked there, and put in place whole."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from jobs.export.card import read_card, write_card
from jobs.export.check import TOLERANCE, Parity, check_export
from jobs.export.files import write_export
from jobs.release_reader import ReleaseParts, find_release
from jobs.runtime.config import Config, load_config
from jobs.runtime.errors import InputError
from jobs.runtime.logs import say
from jobs.runtime.main import parse_day
from jobs.runtime.manifest import checked_files
from mmse_model.encoder import Encoder


def export(arguments: argparse.Namespace) -> int:
    """Exports a release's query encoder, or checks an export.

    Raises InputError where a file is missing, damaged or altered or the folder is taken, Blocked where the export does not
    give the vectors of the model.
    """
    if arguments.check:
        folder = Path(arguments.check)
        say(f"{folder}: {sentence(check_export(folder))}; release {read_card(folder)['release']['dt']}")
    else:
        write(load_config(arguments.config, arguments.set), arguments.date, Path(arguments.out))
    return 0


def write(config: Config, day: str | None, out: Path) -> None:
    """The query encoder of a day's release, or of that in force, into a folder of its own."""
    release = find_release(config, dt=str(parse_day(day)) if day else None)
    encoder = open_model(release.folders["model"])
    with put_in_place(out) as draft:
        write_export(draft, encoder)
        write_card(draft, describe(release))
        parity = check_export(draft)
    say(f"export: release {release.day} -> {out}, {encoder.dimension} dimensions; {sentence(parity)}")


def open_model(folder: Path) -> Encoder:
    """The published model. Raises InputError where a file is missing or is not the one that its manifest names."""
    checked_files(folder)
    try:
        return Encoder.open(folder)
    except ValueError as error:
        raise InputError(str(error)) from None


def describe(release: ReleaseParts) -> dict[str, object]:
    """What export.json says of where the encoder comes from, and which item vectors it belongs to."""
    contents = {name: part["content_hash"] for name, part in release.info["parts"].items()}
    parts = {name: {**release.runs[name], "content_hash": contents[name]} for name in ("model", "embeddings", "index")}
    return {"release": {"dt": release.day, "run": release.run}, "parts": parts}


@contextmanager
def put_in_place(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place, whole, when the block ends well, and goes when it does not.

    Raises InputError where `folder` is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--out {folder}: is there already; expected a folder that does not exist yet, or an empty one")
    draft = folder.absolute().with_name(f".{folder.name}-{uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        yield draft
        os.rename(draft, folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sentence(parity: Parity) -> str:
    """What a check found, for people."""
    return f"{parity.queries:,} test vectors, largest difference {parity.largest:.1e} (at most {TOLERANCE:.0e} is allowed)"
