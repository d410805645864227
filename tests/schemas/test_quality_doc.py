"""docs/QUALITY.md names every declared check, and no other."""

from __future__ import annotations

import re

from jobs.runtime.checks import checks_of
from schemas import DATASETS
from tests.conftest import REPOSITORY

NAME = re.compile(r"`([a-z_]+\.[a-z_0-9:]+\.(?:critical|warning))`")


def test_the_document_names_every_declared_check_and_no_other() -> None:
    named = set(NAME.findall((REPOSITORY / "docs" / "QUALITY.md").read_text(encoding="utf-8")))
    known = {check.name for dataset in DATASETS.values() for check in checks_of(dataset)}
    declared = {f"{d.name}.{c.metric}.{c.severity}" for d in DATASETS.values() for c in d.checks}
    assert sorted(named - known) == []
    assert sorted(declared - named) == []
