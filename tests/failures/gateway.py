"""A real object store for the tests: Ceph's monitor, one OSD in memory and the RADOS gateway, which speaks S3."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
ms client mode = crc
ms service mode = crc
ms cluster mode = crc
mon allow pool size one = true
mon data avail crit = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 268435456
mon data = {folder}/mon
osd data = {folder}/osd
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
keyring = {folder}/none
rgw frontends = beast endpoint=127.0.0.1:{http}
"""
"""Without keys, as everything listens on the loopback address alone; `crc` because Ceph's secure mode needs keys."""


def installed() -> bool:
    """Whether all of Ceph's programs are here (`make object-store`)."""
    return all(shutil.which(name) for name in PROGRAMS)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


@contextlib.contextmanager
def gateway(folder: Path) -> Iterator[dict[str, str]]:
    """Runs the store in a short-named folder; yields the environment that has boto3 find it."""
    (folder / "mon").mkdir(parents=True)
    (folder / "osd").mkdir()
    v2, v1, http = free_ports(3)
    conf, fsid, key, secret = folder / "ceph.conf", str(uuid4()), uuid4().hex, uuid4().hex
    conf.write_text(CONF.format(fsid=fsid, v2=v2, v1=v1, http=http, folder=folder), encoding="utf-8")
    try:
        _start(conf, fsid, f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]", key, secret)
        _wait_for(http)
        yield {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{http}", "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        for pid in folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGKILL)


def _start(conf: Path, fsid: str, monitor: str, key: str, secret: str) -> None:
    """The daemons, one after the other; each puts itself into the background."""
    folder, osd = conf.parent, str(uuid4())
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, str(folder / "monmap"))
    _run("ceph-mon", "-c", str(conf), "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
    _run("ceph-mon", "-c", str(conf), "-i", "a")
    _run("ceph", "-c", str(conf), "osd", "new", osd)
    _run("ceph-osd", "-c", str(conf), "-i", "0", "--mkfs", "--osd-uuid", osd)
    _run("ceph-osd", "-c", str(conf), "-i", "0")
    _run("radosgw-admin", "-c", str(conf), "user", "create", "--uid=mmse", "--display-name=mmse", f"--access-key={key}", f"--secret={secret}")
    _run("radosgw", "-c", str(conf), "-n", "client.admin", "--no-mon-config")


def _run(*command: str) -> None:
    """Raises AssertionError with what the program said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"


def _wait_for(port: int, seconds: float = 60) -> None:
    """Until somebody listens there. Raises AssertionError after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nobody listens on port {port} after {seconds:.0f} s")
