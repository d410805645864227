"""The ids that `mmse forget` is given: read once, hashed at once, never printed, logged or handed to Spark."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from jobs.runtime.errors import ConfigError

UserKey = tuple[str, str]
"""(key_id, user_key)"""


def read_user_ids(file: str | None) -> list[str]:
    """The ids of a file, or of standard input: one per line, white space around them cut as ingest does.

    Raises ConfigError where the source cannot be read or holds none; the message never repeats what it holds.
    """
    where = file or "standard input"
    try:
        data = Path(file).read_bytes() if file else sys.stdin.buffer.read()
        lines = data.decode("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror}); expected user ids, one per line") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: is not UTF-8; expected user ids, one per line") from None
    ids = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not ids:
        raise ConfigError(f"{where}: holds no user id; expected one per line")
    return ids


def hash_user_ids(ids: Iterable[str], keys: Mapping[str, bytes]) -> list[UserKey]:
    """Every id under every configured key."""
    return [
        (key_id, hmac.new(key, user.encode("utf-8"), "sha256").hexdigest()) for user in ids for key_id, key in keys.items()
    ]
