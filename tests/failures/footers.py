"""Parquet files whose footer lies; run as a script it reads one file under many changed footers."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LIES = ("length beyond the file", "negative length", "another count of rows", "column beyond the file", "no footer")
ROWS = 1_000


def write(path: Path, lie: str) -> None:
    """Writes a file of ROWS rows and makes its footer lie."""
    pq.write_table(pa.table({"query_id": [f"q{n}" for n in range(ROWS)]}), path, compression="none", use_dictionary=False)
    body = path.read_bytes()
    start = footer_start(body)
    footer, end = body[start:-8], body[-8:]
    if lie == "length beyond the file":
        end = struct.pack("<I", len(body) * 10) + b"PAR1"
    elif lie == "negative length":
        end = b"\xff\xff\xff\xff" + b"PAR1"
    elif lie == "another count of rows":
        footer = replaced(footer, varint(ROWS), varint(ROWS + 1))
    elif lie == "column beyond the file":
        size = pq.read_metadata(path).row_group(0).column(0).total_compressed_size
        footer = replaced(footer, varint(size), varint(size + 1))  # of the same length, more than the file has
        body = body[: start - 400]
        start = len(body)
    else:
        footer, end = b"", b"PAR1"
    path.write_bytes(body[:start] + footer + end)


def footer_start(body: bytes) -> int:
    """Where the footer begins."""
    return len(body) - 8 - struct.unpack("<I", body[-8:-4])[0]


def varint(value: int) -> bytes:
    """A number as Thrift's compact protocol writes it: zigzag, seven bits a byte."""
    rest, out = value << 1, []
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def replaced(footer: bytes, old: bytes, new: bytes) -> bytes:
    """The footer with the last such number changed."""
    head, found, tail = footer.rpartition(old)
    assert found, "the number is not in the footer"
    return head + new + tail


def read_under_changed_footers(path: Path, changes: int) -> tuple[int, int]:
    """(read, refused) of so many copies with one byte of the footer changed, spread over the footer and over values."""
    from jobs.ingest.layouts import parquet_problem

    body, outcomes = path.read_bytes(), [0, 0]
    start, changed = footer_start(body), path.with_name("changed.parquet")
    for n in range(changes):
        at = start + n * 7_919 % (len(body) - start)
        changed.write_bytes(body[:at] + bytes([body[at] ^ (1 + n * 31 % 255)]) + body[at + 1 :])
        outcomes[parquet_problem(str(changed)) is not None] += 1
    return outcomes[0], outcomes[1]


if __name__ == "__main__":
    print(json.dumps(read_under_changed_footers(Path(sys.argv[1]), int(sys.argv[2]))))
