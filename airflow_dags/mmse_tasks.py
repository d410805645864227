"""What the tasks of mmse_daily do beside spark-submit. The standard library only: Airflow lives in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PASSING = ("pass", "warn")


class GateClosed(Exception):
    """What a job published may not be used; the sentence says which job and why."""


class CommandFailed(Exception):
    """An `mmse` command ended with another exit code than 0."""


def command(python: str, name: str, *arguments: str) -> list[str]:
    """The argument list of an `mmse` command; nothing passes through a shell."""
    return [python, "-m", "jobs.cli", name, *arguments]


def run_command(arguments: Sequence[str], folder: str) -> str:
    """The last line that a command printed, run in `folder`. Raises CommandFailed with the end of what it said."""
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="\n")
    if done.returncode:
        raise CommandFailed(f"{' '.join(arguments)} ended with exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def job_settings(task: str, params: Mapping[str, Any]) -> list[str]:
    """The `--set` values that a run's parameters mean for one task.

    `lookback` has ingest_logs catch up that many earlier days; `force` has train_model train although a recent model would serve.
    """
    settings = []
    if task == "ingest_logs" and params.get("lookback") is not None:
        settings.append(f"ingest.catch_up_days={int(params['lookback'])}")
    if task == "train_day.train_model" and params.get("force"):
        settings.append("train.every_days=1")
    return [word for setting in settings for word in ("--set", setting)]


def branch(plan: Mapping[str, Any], force: bool) -> str:
    """The first task of the branch that a date takes: `plan` is what `mmse plan` said."""
    return "train_day.train_model" if force or plan["kind"] == "train" else "delta_day.carry_model"


def open_gate(plan: Mapping[str, Any], day: str, jobs: Iterable[str]) -> dict[str, list[str]]:
    """The warnings of every job's verdict of this run.

    Raises GateClosed where a verdict is missing, cannot be read, is older than the run, or is no pass.
    """
    folder = Path(plan["reports"]) / f"dt={day}"
    return {job: _warnings(_verdict(folder / job / "verdict.json", int(plan["entry"]))) for job in jobs}


def _verdict(path: Path, entry: int) -> dict[str, Any]:
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"))
        word, base = verdict["verdict"], int(verdict["base_entry"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GateClosed(f"{path}: no verdict to be read ({type(error).__name__})") from None
    if base < entry:
        raise GateClosed(f"{path}: rests on entry {base}, before {entry}, where this run began: it is of an earlier run")
    if word not in PASSING:
        raise GateClosed(f"{path}: {word}, run {verdict.get('run_id')}: {verdict.get('reason') or 'no reason given'}")
    return verdict


def _warnings(verdict: Mapping[str, Any]) -> list[str]:
    return [
        f"{output['dataset']} dt={output['dt']}: {check['name']} = {check['value']}"
        for output in verdict.get("outputs", ()) for check in output["checks"] if not check["success"]
    ]


def alert(url: str, text: str, timeout: float = 10) -> None:
    """Posts {"text": ...} to a webhook, as chat systems take it. A webhook that is down is printed and stops nothing."""
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=timeout).close()
    except OSError as error:
        print(f"the alert could not be sent to {url}: {error}")
