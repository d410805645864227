"""Structured logs: one JSON object a line on standard error or in a file; summaries for people on standard output."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

LOGGER = logging.getLogger("mmse")


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object; `extra={"fields": {...}}` is merged in."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        body: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        body.update(getattr(record, "fields", {}))
        if record.exc_info:
            body["error"] = self.formatException(record.exc_info)
        return json.dumps(body, default=str)


class StandardError(logging.Handler):
    """Writes to whatever `sys.stderr` is when a record arrives, so that a replaced or closed stream is not kept."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line on standard error."""
        print(self.format(record), file=sys.stderr, flush=True)


def set_up_logs(path: str | None = None) -> None:
    """Sends mmse's own log to `path`, or to standard error where none is given."""
    handler: logging.Handler = logging.FileHandler(path) if path else StandardError()
    handler.setFormatter(JsonLines())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def log(message: str, **fields: Any) -> None:
    """One structured line at level info."""
    LOGGER.info(message, extra={"fields": fields})


def say(text: str) -> None:
    """One line for a person, on standard output."""
    print(text, flush=True)
