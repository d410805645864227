"""Pages of a real small run: no rare query, no e-mail address, no id of a user; frequent queries are shown."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.build_vocabulary import JOB as VOCABULARY
from jobs.report.page import build_report
from jobs.runtime.config import Config
from jobs.runtime.job import run_job
from tests.jobs import published
from tests.jobs.ingest_cases import NO_BOUNDS, deliver, event, ingest, query

DT = "2026-01-08"
RARE = ("gift for anna", "lamp", "desk of ben")
IDS = ("user-4711", "user-4712", "c-4711", "s-4711", "anna@example.com", "example.com", "+49 30 1234567")


def documents() -> list[dict[str, object] | str]:
    """Three people search for a cable; what else is asked for is asked for by one or two of them."""
    def search(query_id: str, text: str, n: int, **more: object) -> dict[str, object]:
        inner = {"session_id": f"s-{n}", "user_id": f"user-{n}"}
        return query(query_id, text, f"{DT}T{8 + n % 10:02d}:00:00Z", client_id=f"c-{n}", query_attributes=inner, **more)

    return [
        *[search(f"cable-{n}", "USB cable", n) for n in (4711, 4712, 4713)],
        *[search(f"lamp-{n}-{again}", "Lamp", n) for n in (4711, 4712) for again in range(4)],
        search("anna", "gift for Anna", 4711), search("mail", "mail anna@example.com or +49 30 1234567", 4711),
        search("ben", "desk of Ben", 4712, timestamp="never"),
        event("click", "p1", f"{DT}T12:01:00Z", "e1", query_id="cable-4711", client_id="c-4711", user_id="user-4711"),
        event("click", "p1", f"{DT}T12:02:00Z", "e2", ordinal=-1, query_id="anna", client_id="c-4711", user_id="user-4711"),
        '{"user_query": "gift for Anna", "user_id": "user-4711", ',
    ]


@pytest.fixture(scope="module")
def reports(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("read")
    deliver(root, DT, "ubi.json", documents())
    paths = {name: str(root / name) for name in ("raw", "warehouse", "reports")}
    (root / "key").write_text("00" * 32)
    config = Config.model_validate({
        "paths": paths, "ingest": {"user_key_file": str(root / "key")}, "privacy": {"k": 3}, "audit": {"bounds": NO_BOUNDS},
    })
    ingest(spark, config, DT)
    published.publish_items(spark, config, 20)
    run_job(VOCABULARY, config, date.fromisoformat(DT), lambda: spark)
    build_report(config, date.fromisoformat(DT))
    return Path(config.paths.reports)


def test_nothing_that_people_read_names_anybody_or_shows_a_rare_query(reports: Path) -> None:
    files = [path for path in reports.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".html", ".json"}
    assert any("data_docs" in str(path) for path in files)
    for path in files:
        text = path.read_text(encoding="utf-8").lower()
        assert [word for word in (*RARE, *IDS) if word in text] == [], path


def test_what_enough_people_searched_for_is_shown_and_the_rest_is_counted(reports: Path) -> None:
    page = (reports / f"dt={DT}" / "index.html").read_text(encoding="utf-8")
    assert '<td>usb cable</td><td class="number">3</td><td class="number">3</td>' in page
    assert "each of at least 3 people" in page
    assert "3 others (10 searches)" in " ".join(page.split())
