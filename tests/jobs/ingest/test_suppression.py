"""Records of forgotten people are refused; those of others on the same device are not."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.ingest.privacy import ensure_user_key, load_user_keys
from jobs.ingest.suppression import Suppressions, mark_forgotten
from jobs.runtime.errors import ConfigError
from jobs.runtime.sections import IngestSettings

KEYS = {"k1": b"1" * 32, "k0": b"0" * 32}
COLUMNS = (
    "name string, kind string, query_id string, user_id string, client_id string, session_id string, disposition string, "
    "reason string, field string, value string, query_text string, file string, line bigint"
)


def listed(spark: SparkSession, *entries: tuple[str, str, str]) -> Suppressions:
    """(kind, key_id, identifier) -> the list."""
    rows = []
    for kind, key_id, text in entries:
        message = text if kind == "user" else f"{kind}:{text}"
        rows.append((kind, key_id, hmac.new(KEYS[key_id], message.encode(), "sha256").hexdigest(), "erasure"))
    return Suppressions(spark.createDataFrame(rows, "kind string, key_id string, hash string, erasure string"), KEYS)


def test_user_client_session_and_what_shares_their_query_id(spark: SparkSession) -> None:
    rows = [
        ("her", "query", "q1", "anna", "tablet", "s0", None),
        ("under an earlier key", "event", None, "anna's old id", None, None, None),
        ("her client", "query", "q2", None, "phone", "s1", None),
        ("her session", "event", "q3", None, "tablet", "s2", None),
        ("nobody, her query", "query", "q1", None, None, None, None),
        ("refused already", "event", "q1", "anna", None, None, "quarantined"),
        ("another user on her client", "event", "q4", "ben", "phone", "s2", None),
        ("nobody, his query", "event", "q4", None, None, None, None),
        ("another client", "event", "q1", None, "tablet", "s9", None),
        ("no ids at all", "event", None, None, None, None, None),
        ("a session that is called like her client", "event", "q5", None, None, "phone", None),
        ("a line of the bulk format", "action", "q1", None, None, None, "merged"),
    ]
    records = spark.createDataFrame([(*row, "r", "f", "v", "text", "a.json", n) for n, row in enumerate(rows)], COLUMNS)
    them = listed(
        spark, ("user", "k1", "anna"), ("user", "k0", "anna's old id"), ("client", "k1", "phone"), ("session", "k1", "s2")
    )
    marked = mark_forgotten(records, them).collect()
    erased = {row["name"] for row in marked if row["disposition"] == "erased"}
    assert erased == {row[0] for row in rows[:6]}
    assert {(row["reason"], row["field"], row["value"], row["query_text"]) for row in marked if row["name"] in erased} == {
        ("forgotten", None, None, None)
    }
    assert {row["query_text"] for row in marked if row["name"] not in erased} == {"text"}
    assert set(mark_forgotten(records, them).columns) == set(records.columns)


def test_nobody_forgotten_costs_nothing(spark: SparkSession) -> None:
    records = spark.createDataFrame([], COLUMNS)
    assert mark_forgotten(records, None) is records


def test_the_current_key_comes_first_and_a_missing_retired_one_is_named(tmp_path: Path) -> None:
    current, old = (str(ensure_user_key(tmp_path / name)) for name in ("k2", "k1"))
    settings = IngestSettings(user_key_file=current, key_id="k2", retired_keys={"k1": old})
    assert list(load_user_keys(settings, tmp_path / "w")) == ["k2", "k1"]
    Path(old).unlink()
    with pytest.raises(ConfigError, match=r"ingest\.retired_keys\.k1 = .*: cannot be read"):
        load_user_keys(settings, tmp_path / "w")
