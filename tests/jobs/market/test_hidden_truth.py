"""The simulator's truth stays hidden: one job writes it, one reads it, and one may hold out whole intents by it."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import jobs
from jobs.runtime.job import Job

FOLDER = Path(jobs.__file__).parent
WORDS = "truth_"


def all_jobs() -> dict[str, Job]:
    """Every JOB that a file in jobs/ declares, by the file's name."""
    declaring = [
        path.stem for path in FOLDER.glob("*.py")
        if any(isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "JOB"
               for node in ast.parse(path.read_text(encoding="utf-8")).body)
    ]
    return {name: import_module(f"jobs.{name}").JOB for name in declaring}


def test_only_the_simulator_writes_truth_and_only_evaluation_and_the_hold_out_read_it() -> None:
    found = all_jobs()
    assert "simulate_market" in found and found["simulate_market"].reads == ()
    writers = {job.name for job in found.values() if any(d.startswith(WORDS) for d in job.writes)}
    readers = {job.name: {d for d in job.reads if d.startswith(WORDS)} for job in found.values()}
    assert writers == {"simulate_market"}
    assert {name for name, read in readers.items() if read} <= {"evaluate_retrieval", "build_tuples"}
    assert readers["build_tuples"] == {"truth_requests"}  # which intents there are, not how much an item suits them


def test_no_other_source_of_jobs_or_model_names_a_truth_dataset() -> None:
    allowed = {"simulate_market.py", "evaluate_retrieval.py", "build_tuples.py", "held_out.py"}
    naming = {
        path.relative_to(FOLDER.parent).as_posix()
        for package in ("jobs", "mmse_model") for path in (FOLDER.parent / package).rglob("*.py")
        if path.name not in allowed and any(
            isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(WORDS)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    # Erasure removes people from every dataset that holds them row for row, the truth included; it learns nothing from it.
    # The experiment replays the market's people; it publishes nothing, and nothing but the command line imports it.
    # The ablation asks what evaluation asks, and needs to know which intents training never saw.
    knowing = ("jobs/market/", "jobs/evaluation/", "jobs/erasure/", "jobs/experiment/", "jobs/ablation/")
    assert {name for name in naming if not name.startswith(knowing)} == set()


def test_only_the_command_line_can_reach_the_experiment() -> None:
    importing = {
        path.relative_to(FOLDER.parent).as_posix()
        for package in ("jobs", "mmse_model") for path in (FOLDER.parent / package).rglob("*.py")
        if any(name.startswith("jobs.experiment") for name in imported(path))
    }
    assert {name for name in importing if not name.startswith("jobs/experiment/")} == {"jobs/cli.py"}


def imported(path: Path) -> set[str]:
    """Modules that a file imports from, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
