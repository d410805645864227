"""Who may import whom, read off the sources (the picture is in docs/ARCHITECTURE.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"jobs", "mmse_model", "schemas", "airflow_dags"}
FORBIDDEN = {
    "schemas": (OURS - {"schemas"}) | {"torch", "faiss"},
    "mmse_model": {"jobs", "airflow_dags", "pyspark"},
    "jobs": {"airflow_dags"},
    "airflow_dags": {"jobs", "mmse_model", "schemas", "pyspark", "torch", "great_expectations"},
}


def imported(path: Path) -> set[str]:
    """Top-level names of every absolute import in a file, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_a_package_imports_only_what_the_design_allows(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert imported(path) & FORBIDDEN[package] == set(), path.relative_to(ROOT)


@pytest.mark.parametrize("package", sorted(OURS))
def test_no_check_of_ours_vanishes_when_python_optimises(package: str) -> None:
    """`python -O` leaves assert statements out (E6)."""
    for path in (ROOT / package).rglob("*.py"):
        found = [node.lineno for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Assert)]
        assert found == [], path.relative_to(ROOT)


@pytest.mark.parametrize("package", sorted(OURS))
def test_nothing_is_pickled(package: str) -> None:
    """Neither vectors (E8) nor weights: what is read from a pickle runs as code."""
    for path in (ROOT / package).rglob("*.py"):
        assert imported(path) & {"pickle", "cloudpickle", "joblib", "dill"} == set(), path.relative_to(ROOT)


def test_no_module_of_jobs_hides_one_of_the_standard_library() -> None:
    """spark-submit puts the folder of the job file first on sys.path."""
    import sys

    hidden = {p.stem for p in (ROOT / "jobs").iterdir()} & sys.stdlib_module_names
    assert hidden == set()
