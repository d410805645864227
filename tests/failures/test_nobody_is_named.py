"""No secret, no user id and no e-mail address in what a run leaves behind, nor in the repository itself."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.runtime.config import Config
from tests.conftest import REPOSITORY
from tests.failures.shop import DAY, Shop
from tests.jobs.ingest_cases import deliver, event, query

WORD = re.compile(r"[A-Za-z0-9_@.+:-]{4,}")
MAIL = re.compile(r"[A-Za-z0-9._%+-]{3,}@(?!example\.(?:com|org)\b)[A-Za-z0-9-]{3,}\.(?!example\b|test\b)[a-z]{2,}")
"""Addresses, those of domains that are kept free for examples (RFC 2606) left out."""
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[baprs]-[A-Za-z0-9-]{10}|eyJ[A-Za-z0-9_-]{20,}\.eyJ"
)
PEOPLE = ("customer-4711-anna", "anna.berger@" + "acme-mail.com", "card 4111 1111 1111 1111")


def texts_of(path: Path) -> Iterator[str]:
    """Everything that a file says: a Parquet file column by column, footer included, a .gz file unpacked, others byte by byte."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield str(table.schema)
        for column in table.columns:
            yield from values(column)
    elif path.suffix == ".gz":
        yield gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
    else:
        yield path.read_bytes().decode("latin-1")


def values(column: pa.ChunkedArray) -> Iterator[str]:
    """The distinct texts of a column, lists and binary values included."""
    kind = column.type
    if pa.types.is_list(kind):
        column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type)
        yield from values(column)
    elif pa.types.is_binary(kind):
        yield "\n".join(value.decode("latin-1") for value in column.unique().to_pylist() if value)
    elif pa.types.is_string(kind):
        yield "\n".join(value for value in column.unique().to_pylist() if value)


def found_in(folder: Path, wanted: set[str]) -> dict[str, set[str]]:
    """File -> what of `wanted`, and which e-mail addresses, it holds; files without any are left out."""
    found: dict[str, set[str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for text in texts_of(path):
            hits = {word for word in WORD.findall(text) if word in wanted} | set(MAIL.findall(text))
            hits |= {word for word in PEOPLE if word in text}
            if hits:
                found.setdefault(str(path.relative_to(folder)), set()).update(hits)
    return found


def user_ids(raw: Path) -> set[str]:
    """Every user id of the raw logs, wherever it stands in a document."""
    place = re.compile(rb'"user_id"\s*:\s*"([^"]{4,})"')
    return {m.decode() for path in raw.rglob("*.json.gz") for m in place.findall(gzip.decompress(path.read_bytes()))}


def personal_records() -> list[dict[str, Any] | str]:
    """Somebody's id, address and card at every place where a record may hold them, in sound and in broken records."""
    user, mail, card = PEOPLE
    known = {"user_id": user, "timestamp": f"{DAY}T10:00:00Z"}
    return [
        query("p1", f"gift for {mail}", **known), query("p2", card, **known), event("click", "p0000000001", event_id="pe1", **known),
        query("p3", f"lamp {mail}", user_id=user, timestamp="never"), event("click", {"a": mail}, event_id="pe2", **known),
        f'{{"user_query": "broken {mail}", "user_id": "{user}", ', f'{{"user_id": "{user}", "query_id": ["{mail}"]}}',
    ]


@pytest.mark.slow
def test_nothing_that_a_run_leaves_names_anybody_or_tells_the_key(shop: Shop) -> None:
    ids, key = user_ids(shop.folder / "raw"), (shop.folder / "key").read_text().strip()
    assert len(ids) > 100
    assert ids & {word for text in texts_of(next((shop.folder / "raw").rglob("queries*.json.gz"))) for word in WORD.findall(text)}
    deliver(shop.folder, DAY, "ubi-personal.json.gz", personal_records())
    (shop.folder / "raw" / f"dt={DAY}" / "_PRODUCER.json").unlink(missing_ok=True)
    (shop.folder / "warehouse-reports" / "said").mkdir()
    log = shop.folder / "warehouse-reports" / "said" / "run.log"
    code, said = shop.run("run", "--to", "label_impressions", "--log-file", str(log), more=("spark.conf={spark.hadoop.fs.s3a.secret.key: hush-4711}",))
    assert code == 0, said
    (log.parent / "output").write_text(said)
    requests = shop.log.head().run("requests", DAY)
    assert any("<email>" in t for p in shop.warehouse.glob(f"requests/dt={DAY}/run={requests}/*.parquet") for t in texts_of(p))
    for folder in (shop.warehouse, shop.folder / "warehouse-reports"):
        assert found_in(folder, {*ids, key, "hush-4711"}) == {}


def test_a_manifest_names_the_secret_properties_of_spark_and_hides_their_values() -> None:
    names = ("spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.access.key", "spark.ssl.keyPassword", "x.oauth.token")
    config = Config.model_validate({"spark": {"conf": {**dict.fromkeys(names, "hush"), "spark.executor.memory": "2g"}}})
    assert config.published()["spark"]["conf"] == {**dict.fromkeys(names, "<hidden>"), "spark.executor.memory": "2g"}
    assert "hush" not in json.dumps(config.published())


def test_no_committed_file_holds_a_secret_or_somebodys_address() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = {}
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = REPOSITORY / name
        text = path.read_bytes().decode("latin-1") if path.is_file() else ""
        hits = {m.group() for pattern in (MAIL, SECRETS) for m in pattern.finditer(text)}
        if hits:
            found[name] = hits
    assert found == {}
