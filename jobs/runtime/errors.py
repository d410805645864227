"""Errors that end a job, each with its exit code (docs: exit codes)."""


class MmseError(Exception):
    """Base of the errors a user can act on; one sentence each."""

    exit_code = 1


class ConfigError(MmseError):
    """The configuration names something unknown or out of range."""

    exit_code = 2


class InputError(MmseError):
    """An input is missing or cannot be read."""

    exit_code = 2


class Blocked(MmseError):
    """An audit, a producer manifest or an empty day stops the job; nothing is published."""

    exit_code = 3


class Fenced(MmseError):
    """A rival run replaced an input or an output since this job began."""

    exit_code = 4


class DiskFull(MmseError):
    """A volume that the job writes to is full; worth a retry once there is room."""

    exit_code = 1


class HeapSpent(MmseError):
    """A JVM of Spark has no memory left; worth a retry once it is given more."""

    exit_code = 1


class LogUnreachable(MmseError):
    """The object store that keeps the snapshot log does not answer, or refuses; worth a retry."""

    exit_code = 1
