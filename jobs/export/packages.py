"""The packages that `mmse export` alone needs."""

from __future__ import annotations

from importlib.util import find_spec

from jobs.runtime.errors import ConfigError


def required(*names: str) -> None:
    """Raises ConfigError where one of the packages is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"mmse export needs the package {name}: pip install 'mmse[export]'")
