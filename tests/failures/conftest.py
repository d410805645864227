"""The shops that every injury gets a copy of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobs.ingest.privacy import ensure_user_key
from tests.failures.shop import SMALL, Shop, copied


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A copy of the small shop with a release; the first test of a version of the code waits for its making."""
    return copied(tmp_path / "shop")


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A smaller shop that one run had to itself, from its feed to its labels; to be copied, not to be worked in."""
    shop = Shop(tmp_path_factory.mktemp("calm") / "shop")
    shop.folder.mkdir()
    ensure_user_key(shop.folder / "key")
    code, said = shop.run("run", "--from", "simulate_market", "--to", "label_impressions", more=SMALL)
    assert code == 0, said
    return shop


@pytest.fixture
def labelled(calm: Shop, tmp_path: Path) -> Shop:
    """A shop whose days are ingested and labelled."""
    shutil.copytree(calm.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")
