"""Data Docs: Great Expectations' pages from real validations, without a network and without leftovers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jobs.report.data_docs import build_data_docs, render_validation
from jobs.runtime.audit import judge
from jobs.runtime.checks import checks_of
from jobs.runtime.expectations import gx_context
from schemas import Check, Dataset

DT = "2026-01-08"
CHECKS = (Check("loss", "critical", high=5.0), Check("recall", "warning", low=0.5))
DATA = Dataset(name="figures", doc="", checks=CHECKS)


def validation(**figures: float) -> dict[str, Any]:
    """The stored JSON of a real validation of two days."""
    days = {"2026-01-07": {"rows": 1.0, "loss": 1.0, "recall": 0.9}, DT: {"rows": 1.0, **figures}}
    return json.loads(json.dumps(judge(DATA, checks_of(DATA), days, False, "train_model run-7")[1]))


def store(reports: Path, body: dict[str, Any], job: str = "train_model", name: str = "figures") -> Path:
    path = reports / f"dt={DT}" / job / f"validation-{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))
    return path


def test_a_page_shows_the_figures_of_every_day_the_bounds_and_the_run() -> None:
    page = render_validation(validation(loss=7.5, recall=0.9))
    assert "2026-01-07: 1; 2026-01-08: 7.5" in page
    assert "0.9 on all 2 days" in page
    assert "train_model run-7" in page
    assert re.search(r"less than or equal to <span[^>]*>5\.0", page)
    assert "Failed" in page


def test_a_page_loads_nothing_runs_nothing_and_does_not_carry_the_context_id() -> None:
    page = render_validation(validation(loss=7.5, recall=0.9))
    assert re.findall(r"(?:https?:)?//[\w.]", page) == []
    assert "<script" not in page
    assert "onclick" not in page
    assert str(gx_context().variables.data_context_id) not in page


def test_pages_are_linked_from_an_index_of_all_dates_and_all_links_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "data_docs" / "dt=2026-01-07").mkdir(parents=True)
    (tmp_path / "data_docs" / "dt=2026-01-07" / "a-b.html").write_text("yesterday")
    for day in ("2026-01-07", DT):
        (tmp_path / f"dt={day}").mkdir()
        (tmp_path / f"dt={day}" / "index.html").write_text("report")
    store(tmp_path, validation(loss=1.0, recall=0.9))
    pages = build_data_docs(tmp_path, DT)
    assert [(p.job, p.dataset, p.success) for p in pages] == [("train_model", "figures", True)]
    assert (tmp_path / pages[0].href).is_file()
    docs = tmp_path / "data_docs"
    for file in [docs / "index.html", tmp_path / pages[0].href]:
        for link in re.findall(r'href="([^"#]+)"', file.read_text()):
            assert (file.parent / link).resolve().is_file(), (file, link)
    assert "2026-01-07" in (docs / "index.html").read_text()


def test_a_page_that_no_stored_validation_stands_behind_goes(tmp_path: Path) -> None:
    path = store(tmp_path, validation(loss=1.0, recall=0.9))
    href = build_data_docs(tmp_path, DT)[0].href
    path.unlink()
    assert build_data_docs(tmp_path, DT) == []
    assert not (tmp_path / href).exists()
