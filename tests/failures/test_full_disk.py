"""Row 14: the volume of the warehouse is full."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.runtime.config import Config
from jobs.runtime.disk import disk_full
from tests.failures.shop import Shop, check_whole, copied, prepared

ROOM = 300
"""KiB that are left: less than the vectors of the catalogue take, more than a verdict does."""


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A volume on which a shop has hardly any room left; the test is skipped where nobody may mount one."""
    folder = tmp_path / "volume"
    folder.mkdir()
    sizes = [p.stat().st_size for p in prepared().rglob("*") if p.is_file()]
    pages = sum(-(-size // 4096) for size in sizes) + ROOM // 4
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={4 * pages}k", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a volume needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_row_14_a_full_volume_fails_the_job_by_name_and_the_release_stays(volume: Path) -> None:
    shop: Shop = copied(volume / "shop")
    hits, hashes, entry = shop.hits(), shop.hashes(), shop.head()
    code, said = shop.run("embed_items", more=("embed.carry_over=false",))
    assert code == 1, said
    assert f"no space left on a volume; left are: paths.warehouse = {shop.warehouse}: " in said
    assert shop.head() == entry
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    subprocess.run(["mount", "-o", "remount,size=200m", str(volume)], check=True)
    code, said = shop.run("embed_items")
    assert code == 0, said
    assert (shop.hits(), shop.hashes()) == (hits, hashes)
    check_whole(shop)


def test_only_a_full_volume_is_called_one(tmp_path: Path) -> None:
    config = Config.model_validate({"paths": {"warehouse": str(tmp_path / "a" / "b"), "reports": str(tmp_path)}})
    found = disk_full(OSError(errno.ENOSPC, "No space left on device"), config)
    assert found is not None
    assert f"paths.warehouse = {tmp_path}/a/b: " in str(found)
    assert disk_full(RuntimeError("... Caused by: java.io.IOException: No space left on device"), config) is not None
    assert disk_full(PermissionError(errno.EACCES, "Permission denied"), config) is None
