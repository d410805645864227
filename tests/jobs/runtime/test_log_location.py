"""Where a warehouse keeps its snapshot log; what needs a real object store is in tests/failures/test_object_store.py."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from botocore.stub import Stubber

from jobs.runtime.bucket_entries import BUSY, BucketEntries
from jobs.runtime.entry_stores import FolderEntries
from jobs.runtime.errors import ConfigError, InputError, LogUnreachable
from jobs.runtime.log_location import settle
from jobs.runtime.sections import PathSettings
from jobs.runtime.snapshots import EMPTY, SnapshotLog

ADDRESS = "s3://bucket/shop"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


class Forgiving(BaseHTTPRequestHandler):
    """A store that knows no `If-None-Match`: it takes every write."""

    kept: dict[str, bytes] = {}

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.kept[self.path])

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def forgiving(monkeypatch: pytest.MonkeyPatch, credentials: None) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forgiving)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    yield
    server.shutdown()
    server.server_close()


def test_a_store_that_ignores_the_condition_is_refused_before_anything_is_written(forgiving: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wrote over an object in spite of `If-None-Match"):
        settle(tmp_path, ADDRESS)
    assert SnapshotLog(tmp_path).numbers() == [], "the warehouse is as if nobody had tried"


@pytest.mark.parametrize("address", ["s3://bucket", "s3://Bucket/x", "s3://bucket/a/../b", "s3://bucket//a", "gs://bucket/x", "build/log"])
def test_an_address_that_is_none_is_refused_with_what_is_expected(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected s3://BUCKET/PREFIX"):
        settle(tmp_path, address)


def test_a_warehouse_that_has_a_log_does_not_begin_another(tmp_path: Path) -> None:
    SnapshotLog(tmp_path).commit(EMPTY, "a", "r1", {("items", "2026-01-08"): "r1"}, {})
    with pytest.raises(ConfigError, match="_log holds the log of this warehouse"):
        SnapshotLog.opened(PathSettings(warehouse=str(tmp_path), snapshot_log=ADDRESS))
    assert SnapshotLog.opened(PathSettings(warehouse=str(tmp_path))).numbers() == [1]


@pytest.mark.parametrize("text", ["{", "[]", '{"address": "s3://bucket/shop"}'])
def test_a_damaged_location_is_named_and_never_taken_for_an_empty_log(text: str, tmp_path: Path) -> None:
    (tmp_path / "_log").mkdir()
    (tmp_path / "_log" / "location").write_text(text)
    with pytest.raises(InputError, match=r"_log/location: not the location of a snapshot log"):
        SnapshotLog(tmp_path)


def test_whoever_opens_a_warehouse_reads_the_log_that_its_location_names(tmp_path: Path) -> None:
    (tmp_path / "_log").mkdir()
    (tmp_path / "_log" / "location").write_text(json.dumps({"address": ADDRESS, "id": "1"}))
    assert str(SnapshotLog(tmp_path).entries) == ADDRESS


def test_a_link_that_was_made_though_the_disk_denies_it_is_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def repeated(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(target)  # what NFS says to the second of two requests, where the answer to the first was lost

    store = FolderEntries(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", repeated)
        assert store.create("000001.json", "ours", "r1")
    assert not store.create("000001.json", "a rival's", "r2")
    assert (store.names(), store.read("000001.json")) == (["000001.json"], "ours")


def test_a_busy_name_is_asked_for_again(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.runtime.bucket_entries.PAUSE", 0.0)
    store = BucketEntries(ADDRESS)
    with Stubber(store.client) as answers:
        answers.add_client_error("put_object", BUSY, http_status_code=409)
        answers.add_response("put_object", {})
        assert store.write_if_absent("000001.json", "text")
        answers.assert_no_pending_responses()
        for _ in range(20):
            answers.add_client_error("put_object", BUSY, http_status_code=409)
        with pytest.raises(LogUnreachable, match="000001.json: still ConditionalRequestConflict after 20 tries"):
            store.write_if_absent("000001.json", "text")


def test_what_the_store_refuses_is_one_sentence(credentials: None) -> None:
    store = BucketEntries(ADDRESS)
    with Stubber(store.client) as answers:
        answers.add_client_error("put_object", "AccessDenied", "no", http_status_code=403)
        with pytest.raises(LogUnreachable, match=r"s3://bucket/shop: .*AccessDenied.*PutObject operation: no"):
            store.write_if_absent("000001.json", "text")
