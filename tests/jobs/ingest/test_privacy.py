"""Keys, keyed hashes and scrubbing."""

from __future__ import annotations

import hashlib
import hmac
import stat
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.ingest.privacy import ensure_user_key, excerpt, hide_keys, hmac_sha256, load_user_key, scrub
from jobs.runtime.errors import ConfigError

USERS = ["u1", "", "Zoë", "x" * 500, "a\nb"]


@pytest.mark.parametrize("key", [b"k" * 16, bytes(range(32)), b"\xff" * 64, b"long" * 40])
def test_the_hash_is_pythons_hmac_for_short_and_long_keys(spark: SparkSession, key: bytes) -> None:
    frame = spark.createDataFrame([(u,) for u in USERS], "u string")
    found = {r["u"]: r["h"] for r in frame.select("u", hmac_sha256(key, F.col("u")).alias("h")).collect()}
    assert found == {u: hmac.new(key, u.encode(), hashlib.sha256).hexdigest() for u in USERS}


def test_nobody_has_no_hash(spark: SparkSession) -> None:
    assert spark.range(1).select(hmac_sha256(b"k" * 32, F.lit(None).cast("string")).alias("h")).first()["h"] is None


def test_the_key_stands_in_no_printed_plan(spark: SparkSession) -> None:
    key = bytes(range(32))
    hide_keys(spark)
    hide_keys(spark)  # a second time changes nothing
    frame = spark.createDataFrame([("u",)], "u string").select(hmac_sha256(key, F.col("u")))
    inner = bytes(b ^ 0x36 for b in key.ljust(64, b"\0")).hex()
    plan = frame._jdf.queryExecution().toString().lower()
    assert inner not in plan and inner[:32] not in plan
    assert "sha2" in plan


def test_a_made_key_is_for_its_owner_alone_and_is_made_once(tmp_path: Path) -> None:
    path = ensure_user_key(tmp_path / "secrets" / "key")
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_user_key(path).read_text() == text
    assert load_user_key(path, tmp_path / "warehouse") == bytes.fromhex(text.strip())


def test_a_missing_key_is_a_configuration_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nokey.*cannot be read"):
        load_user_key(tmp_path / "nokey", tmp_path / "wh")


def test_a_short_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc123\n")
    with pytest.raises(ConfigError, match="holds 6 characters that are no key") as caught:
        load_user_key(tmp_path / "key", tmp_path / "wh")
    assert "abc123" not in str(caught.value)


def test_a_key_beside_the_data_is_refused(tmp_path: Path) -> None:
    path = ensure_user_key(tmp_path / "wh" / "key")
    with pytest.raises(ConfigError, match="lies in the warehouse"):
        load_user_key(path, tmp_path / "wh")


SCRUBBED = {
    "mail anna.b+x@shop.example.com please": "mail <email> please",
    "jörg@müller.de": "<email>",
    "call +49 30 1234567 now": "call <phone> now",
    "0049 30 1234567": "<phone>",
    "(030) 123 4567": "<phone>",
    "555-123-4567": "<phone>",
    "0151 23456789": "<phone>",
    "card 4111 1111 1111 1111": "card <card>",
    "5500-0000-0000-0004 visa": "<card> visa",
}
KEPT = [
    "usb c cable 2m", "iphone 15", "4006381333931", "90 200 200 mattress", "3.5 mm jack", "b07fcq9wdj", "1 2 3 4 5",
    "4111 1111 1111 1112", "m8x40 10-12", "2024-12-10", "@home speaker", "",
]


def test_addresses_numbers_and_cards_leave_the_text_and_products_stay(spark: SparkSession) -> None:
    texts = [*SCRUBBED, *KEPT]
    frame = spark.createDataFrame([(t,) for t in texts], "t string")
    found = {r["t"]: r["s"] for r in frame.select("t", scrub(F.col("t")).alias("s")).collect()}
    assert found == {**SCRUBBED, **{t: t for t in KEPT}}


def test_an_excerpt_is_short_and_names_nobody(spark: SparkSession) -> None:
    line = '{"user_id": "anna\\"s", "client_id":"c9", "ip": "1.2.3.4", "user_id" : 77, "user_query":"a@b.de ' + "x" * 500
    found = spark.range(1).select(excerpt(F.lit(line), 200).alias("e")).first()["e"]
    assert len(found) == 200
    assert not {"anna", "c9", "1.2.3.4", "77", "a@b.de"} & {w for w in ("anna", "c9", "1.2.3.4", "77", "a@b.de") if w in found}
    assert '"user_id":"<hidden>"' in found and "<email>" in found
