"""export.json: where an export comes from, and the size and SHA-256 of each of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.runtime.errors import InputError
from jobs.runtime.manifest import file_sha256

CARD = "export.json"
FORMAT = 1


def write_card(folder: Path, origin: Mapping[str, object]) -> None:
    """Writes export.json over every file that lies in the folder."""
    files = {p.name: {"bytes": p.stat().st_size, "sha256": file_sha256(p)} for p in sorted(folder.iterdir())}
    body = {"format": FORMAT, **origin, "files": files}
    (folder / CARD).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """What export.json says. Raises InputError where it is missing, damaged or of another format."""
    path = folder / CARD
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        found = body["format"], dict(body["files"]), body["release"]["dt"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the card of an export ({type(error).__name__})") from None
    if found[0] != FORMAT:
        raise InputError(f"{path}: format = {found[0]!r}; expected {FORMAT}")
    return dict(body)


def check_files(folder: Path) -> None:
    """Raises InputError that names the file which is missing or not the one that was exported."""
    for name, said in read_card(folder)["files"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing; {CARD} names it")
        if (found := file_sha256(path)) != said["sha256"]:
            raise InputError(f"{path}: SHA-256 {found[:12]}...; {CARD} says {said['sha256'][:12]}...")
