"""Data Docs: Great Expectations' own pages from stored validation results, readable without a network.

GX's page template loads scripts and styles from CDNs and a logo whose URL carries the
context id. We keep its renderers and sections and give it a page of our own around them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.report.pages import render_page, write_page

TEMPLATES = Path(__file__).with_name("templates")
_SUITE_LINK = re.compile(r'<a href="[./]*expectations/[^"]*"\s*>(.*?)</a>', re.DOTALL)


@dataclass(frozen=True)
class DocsPage:
    """One rendered validation: `href` is relative to the reports folder."""

    job: str
    dataset: str
    success: bool
    href: str


def build_data_docs(reports: Path, dt: str) -> list[DocsPage]:
    """Renders every validation stored for a date below `data_docs/dt=D/`, and the index of all dates.

    Pages of that date that no stored validation stands behind are removed.
    """
    folder = reports / "data_docs" / f"dt={dt}"
    pages = []
    for path in sorted((reports / f"dt={dt}").glob("*/validation-*.json")):
        job, dataset = path.parent.name, path.stem.removeprefix("validation-")
        body = json.loads(path.read_text(encoding="utf-8"))
        name = f"{job}-{dataset}.html"
        write_page(folder / name, render_validation(body))
        pages.append(DocsPage(job, dataset, bool(body["success"]), f"data_docs/dt={dt}/{name}"))
    kept = {Path(page.href).name for page in pages}
    for stale in set(folder.glob("*.html")) - {folder / name for name in kept}:
        stale.unlink()
    _write_index(reports / "data_docs")
    return pages


def render_validation(body: dict[str, Any]) -> str:
    """One validation result (JSON) as a self-contained page."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read on import
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationSuiteValidationResultSchema,
    )
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    result = ExpectationSuiteValidationResultSchema().load(body)
    if not isinstance(result, ExpectationSuiteValidationResult):
        result = ExpectationSuiteValidationResult(**result)
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    view = DefaultJinjaPageView(custom_views_directory=str(TEMPLATES))
    return _SUITE_LINK.sub(r"\1", view.render(document, template="data_docs_page.j2"))


def _write_index(folder: Path) -> None:
    days = {
        day.name.removeprefix("dt="): sorted(p.name for p in day.glob("*.html"))
        for day in sorted(folder.glob("dt=*"), reverse=True)
    }
    write_page(folder / "index.html", render_page("data_docs_index.html.j2", days=days))
