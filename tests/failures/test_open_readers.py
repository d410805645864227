"""Row 17: a training epoch and a release are open while their runs are replaced and `mmse gc` goes over them."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from jobs.release_reader import open_release
from jobs.runtime.manifest import Manifest
from jobs.runtime.retention import collect
from jobs.runtime.store import run_folder
from mmse_model.packed import tuple_table
from tests.failures.shop import DAY, QUERIES, Shop

LATER = "20990101T000000-000000"
AT_ONCE = ("snapshots.keep_entries=1", "snapshots.grace_hours=0")


def replace_run(shop: Shop, dataset: str) -> None:
    """Publishes a copy of a dataset's run under another id, as a run of the same date would."""
    head = shop.head()
    old = run_folder(shop.warehouse, dataset, DAY, str(head.run(dataset, DAY)))
    new = run_folder(shop.warehouse, dataset, DAY, LATER)
    shutil.copytree(old, new)
    body = json.loads((new / "_MANIFEST.json").read_text())
    (new / "_MANIFEST.json").write_text(json.dumps({**body, "run_id": LATER}))
    shop.log.commit(head, "test", LATER, {(dataset, DAY): LATER}, {})


@pytest.mark.slow
def test_row_17_an_epoch_that_is_open_ends_on_its_files_within_the_grace_period(shop: Shop) -> None:
    folder = run_folder(shop.warehouse, "tuples", DAY, str(shop.head().run("tuples", DAY)))
    manifest = Manifest.read(folder)
    table = tuple_table([folder / f.path for f in manifest.files], manifest.facts["shapes"])
    epoch = table.read(table.files)
    rows = len(next(epoch)["dense_ids"])
    replace_run(shop, "tuples")
    assert folder not in [path for path, _ in collect(shop.config("snapshots.keep_entries=1")).runs]
    assert rows + sum(len(batch["dense_ids"]) for batch in epoch) == manifest.rows
    removed = [path for path, _ in collect(shop.config(*AT_ONCE), time.time() + 10).runs]
    assert folder in removed, "the run was to go once its grace was over"


@pytest.mark.slow
def test_row_17_a_release_that_is_open_answers_while_its_parts_are_replaced_and_collected(shop: Shop) -> None:
    released = open_release(shop.config())
    before = released.search_many(QUERIES, 10)
    for dataset in ("index", "items", "embeddings"):
        replace_run(shop, dataset)
    collect(shop.config(*AT_ONCE), time.time() + 10)
    assert released.search_many(QUERIES, 10) == before
    assert shop.hits() == before
