"""The shops that every injury gets a copy of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import boto3
import pytest

from tests.failures.gateway import gateway, installed
from tests.failures.shop import Shop, calm_one, copied


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A copy of the small shop with a release; the first test of a version of the code waits for its making."""
    return copied(tmp_path / "shop")


@pytest.fixture(scope="session")
def calm() -> Shop:
    """A smaller shop up to its labels; to be copied, not to be worked in."""
    return Shop(calm_one())


@pytest.fixture
def labelled(calm: Shop, tmp_path: Path) -> Shop:
    """A shop whose days are ingested and labelled."""
    shutil.copytree(calm.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")


@pytest.fixture(scope="session")
def store() -> Iterator[dict[str, str]]:
    """The environment of a real object store; its folder has a short name, as a socket's path may have 107 bytes."""
    if not installed():
        pytest.skip("needs Ceph's monitor, OSD and RADOS gateway: make object-store")
    with TemporaryDirectory(prefix="mmse-") as folder, gateway(Path(folder)) as environment:
        yield environment


@pytest.fixture
def bucket(store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a bucket of the test's own, which boto3 finds by its environment."""
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    name = f"mmse-{uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"
