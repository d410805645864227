"""Says where a warehouse keeps its snapshot log, so that everybody who opens the warehouse reads the same one.

By default the entries lie in its folder `_log`. Where `paths.snapshot_log` names an object store, that folder holds one
file, `location`, with the address and an id; the store holds the same id as `owner`, so that no other warehouse
writes there.
"""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

from jobs.runtime.bucket_entries import BucketEntries
from jobs.runtime.entry_stores import EntryStore, FolderEntries
from jobs.runtime.errors import ConfigError, InputError

LOG, LOCATION, OWNER = "_log", "location", "owner"


def entry_store(warehouse: Path) -> EntryStore:
    """Where the warehouse's entries are. Raises InputError where its `location` cannot be read."""
    address = located(warehouse)[0]
    return BucketEntries(address) if address else FolderEntries(warehouse / LOG)


def located(warehouse: Path) -> tuple[str, str]:
    """(address, id) as `location` has them; two empty texts where the log is in the warehouse."""
    path = warehouse / LOG / LOCATION
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return str(found["address"]), str(found["id"])
    except FileNotFoundError:
        return "", ""
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the location of a snapshot log ({error!r})") from None


def settle(warehouse: Path, wanted: str) -> None:
    """Has the warehouse keep its log where `paths.snapshot_log` says, and proves that the store there can keep one.

    Raises ConfigError where the log is kept elsewhere already, where another warehouse keeps its own there, or where the
    store ignores `If-None-Match`; LogUnreachable where it does not answer.
    """
    if not wanted:
        return
    store = BucketEntries(wanted)
    begun = not located(warehouse)[0] and _begin(warehouse, store)
    address, identity = located(warehouse)
    if address != str(store):
        raise ConfigError(f"paths.snapshot_log = {wanted!r}: {warehouse} keeps its log in {address}; expected that address")
    try:
        claim(store, identity)
    except ConfigError:
        if begun:
            (warehouse / LOG / LOCATION).unlink()
        raise


def _begin(warehouse: Path, store: BucketEntries) -> bool:
    """Writes `location` into a warehouse without any entry; False where a run beside this one has written it."""
    folder = FolderEntries(warehouse / LOG)
    if any(name.endswith(".json") for name in folder.names()):
        raise ConfigError(
            f"paths.snapshot_log = {str(store)!r}: {folder} holds the log of this warehouse; expected no such setting, "
            "or a log that was moved as docs/ARCHITECTURE.md says"
        )
    draft = folder.draft(LOCATION, json.dumps({"address": str(store), "id": uuid4().hex}), uuid4().hex)
    return folder.link(draft, LOCATION)


def claim(store: BucketEntries, identity: str) -> None:
    """Makes sure that the store is this warehouse's alone, and that it refuses to write an object that is there.

    Raises ConfigError where either does not hold.
    """
    store.write_if_absent(OWNER, identity)
    if store.read(OWNER) != identity:
        raise ConfigError(f"{store}: keeps the log of another warehouse (by its object {OWNER!r}); expected a prefix of its own")
    if store.write_if_absent(OWNER, identity):
        raise ConfigError(f"{store}: the store wrote over an object in spite of `If-None-Match: *`; expected one that refuses to")
