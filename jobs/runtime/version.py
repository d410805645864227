"""Which code made a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from zipfile import ZipFile, is_zipfile

VERSION = "0.1.0"
PACKAGES = ("jobs", "mmse_model", "schemas")


@cache
def code_version() -> str:
    """The release number and a digest over every source file of the packages.

    The same from a checkout and from the zip that `--py-files` sends; no git needed.
    """
    digest = hashlib.sha256()
    for name, body in sorted(_sources(Path(__file__).resolve().parents[2])):
        digest.update(name.encode() + body)
    return f"{VERSION}+{digest.hexdigest()[:12]}"


def _sources(root: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every .py file of the packages below a folder or inside a zip."""
    if root.is_dir():
        for package in PACKAGES:
            for path in (root / package).rglob("*.py"):
                yield path.relative_to(root).as_posix(), path.read_bytes()
    elif is_zipfile(root):
        with ZipFile(root) as archive:
            for name in archive.namelist():
                if name.endswith(".py") and name.split("/")[0] in PACKAGES:
                    yield name, archive.read(name)
