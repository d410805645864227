"""Which code made a run."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

VERSION = "0.1.0"


@cache
def code_version() -> str:
    """The release number and a digest over every source file of the packages: no git needed on a worker."""
    root = Path(__file__).resolve().parents[2]
    if not root.is_dir():  # imported from a zip sent by --py-files
        return f"{VERSION}+zip"
    digest = hashlib.sha256()
    for package in ("jobs", "mmse_model", "schemas"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return f"{VERSION}+{digest.hexdigest()[:12]}"
