"""What the DAG's own tasks do, without Airflow: gates, the settings of a run, alerts."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("mmse_tasks", ROOT / "airflow_dags" / "mmse_tasks.py")
mmse_tasks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mmse_tasks)

DAY = "2026-01-08"


def verdict(folder: Path, job: str, word: str, base_entry: int = 5, **more: Any) -> dict[str, Any]:
    path = folder / f"dt={DAY}" / job / "verdict.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"verdict": word, "base_entry": base_entry, "run_id": "r1", **more}))
    return {"reports": str(folder), "entry": 5}


def test_a_gate_lets_a_pass_through_and_hands_on_what_was_warned_of(tmp_path: Path) -> None:
    checks = [{"name": "ctr", "value": 0.3, "success": False}, {"name": "rows", "value": 9, "success": True}]
    verdict(tmp_path, "ingest_items", "pass")
    plan = verdict(tmp_path, "ingest_logs", "warn", outputs=[{"dataset": "events", "dt": DAY, "checks": checks}])
    found = mmse_tasks.open_gate(plan, DAY, ("ingest_logs", "ingest_items"))
    assert found == {"ingest_logs": [f"events dt={DAY}: ctr = 0.3"], "ingest_items": []}


@pytest.mark.parametrize("word", ["block", "error"])
def test_a_gate_is_closed_by_a_job_that_was_stopped(tmp_path: Path, word: str) -> None:
    plan = verdict(tmp_path, "ingest_logs", word, reason="events: 3 rows")
    with pytest.raises(mmse_tasks.GateClosed, match=f"{word}, run r1: events: 3 rows"):
        mmse_tasks.open_gate(plan, DAY, ("ingest_logs",))


def test_a_gate_does_not_take_the_verdict_of_an_earlier_run(tmp_path: Path) -> None:
    plan = verdict(tmp_path, "ingest_logs", "pass", base_entry=4)
    with pytest.raises(mmse_tasks.GateClosed, match="rests on entry 4, before 5"):
        mmse_tasks.open_gate(plan, DAY, ("ingest_logs",))


@pytest.mark.parametrize("text", [None, "", "[]", '{"verdict": "pass"}'])
def test_a_gate_is_closed_where_there_is_no_verdict_to_be_read(tmp_path: Path, text: str | None) -> None:
    plan = verdict(tmp_path, "ingest_logs", "pass")
    path = tmp_path / f"dt={DAY}" / "ingest_logs" / "verdict.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(mmse_tasks.GateClosed, match="no verdict to be read"):
        mmse_tasks.open_gate(plan, DAY, ("ingest_logs",))


def test_a_run_s_parameters_become_settings_of_the_tasks_they_mean() -> None:
    params = {"dt": DAY, "lookback": 7, "force": True}
    assert mmse_tasks.job_settings("ingest_logs", params) == ["--set", "ingest.catch_up_days=7"]
    assert mmse_tasks.job_settings("train_day.train_model", params) == ["--set", "train.every_days=1"]
    assert mmse_tasks.job_settings("delta_day.carry_model", params) == []
    assert mmse_tasks.job_settings("ingest_logs", {"lookback": None, "force": False}) == []


def test_a_lookback_that_is_no_number_reaches_no_job() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        mmse_tasks.job_settings("ingest_logs", {"lookback": "7 --set paths.raw=/etc"})


@pytest.mark.parametrize(("kind", "force", "first"), [
    ("train", False, "train_day.train_model"), ("delta", False, "delta_day.carry_model"), ("delta", True, "train_day.train_model"),
])
def test_the_plan_chooses_the_branch_and_force_trains(kind: str, force: bool, first: str) -> None:
    assert mmse_tasks.branch({"kind": kind}, force) == first


def test_a_command_that_fails_says_how_it_ended(tmp_path: Path) -> None:
    assert mmse_tasks.run_command([sys.executable, "-c", "print('a'); print('b')"], str(tmp_path)) == "b"
    with pytest.raises(mmse_tasks.CommandFailed, match="exit code 3: no such day"):
        mmse_tasks.run_command([sys.executable, "-c", "import sys; sys.exit(print('no such day', file=sys.stderr) or 3)"], str(tmp_path))


def test_an_alert_is_posted_as_json_and_a_dead_webhook_stops_nothing(capsys: pytest.CaptureFixture) -> None:
    received: list[bytes] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    mmse_tasks.alert(f"http://127.0.0.1:{server.server_port}/hook", "it failed")
    thread.join()
    server.server_close()
    assert [json.loads(body) for body in received] == [{"text": "it failed"}]
    mmse_tasks.alert(f"http://127.0.0.1:{server.server_port}/hook", "again", timeout=1)
    assert "the alert could not be sent" in capsys.readouterr().out
