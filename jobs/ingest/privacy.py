"""User ids become keyed hashes; e-mail, phone and card patterns leave query text and excerpts.

HMAC-SHA256 (RFC 2104) is written with Spark's own `sha2`, so that no row leaves the JVM:
H(opad || H(ipad || id)). The two pads hold the key and stand in the query plan as
literals; `hide_keys` has Spark redact them from printed plans and event logs. What
remains: the driver's and the executors' memory, and with it heap dumps.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.runtime.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

    from jobs.runtime.sections import IngestSettings

BLOCK = 64  # bytes of one SHA-256 block
LEAST_BYTES = 16
PAD_PATTERN = "[0-9a-fA-F]{128}"
REDACTION = "spark.sql.redaction.string.regex"

# Repeated groups are possessive (*+, ++): Java walks any other by recursion, and a value of some thousand characters then
# overflows the stack, which ends the executor.
EMAIL = r"(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)++"
CARD = r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"
PHONE = (
    r"(?<![\d+])\+\d{1,3}(?:[ ()./-]{0,2}\d){6,12}(?!\d)"  # +49 30 123456
    r"|(?<!\d)00\d{1,3}[ ./-](?:[ ()./-]{0,2}\d){6,12}(?!\d)"  # 0049 30 123456
    r"|(?<!\d)\(\d{2,5}\) ?\d{3,4}[ .-]?\d{3,5}(?!\d)"  # (030) 123 456
    r"|(?<![\d.-])\d{3}([.-])\d{3}\1\d{4}(?![\d.-])"  # 555-123-4567
    r"|(?<![\d.,-])0\d{1,4}[ /-]\d{3,4}[ -]?\d{3,5}(?![\d.-])"  # 0151 23456789
)
PERSONAL_FIELDS = ("user_id", "client_id", "session_id", "ip")
VALUE = r'\s*:\s*("(?:[^"\\]|\\[\s\S]?)*+"?|[^,}\]]+)'


def ensure_user_key(path: str | Path) -> Path:
    """Creates a file with 32 random bytes as hex, readable by its owner alone, unless it is there. Returns the path.

    For the demo and for tests; a shop makes and keeps its key where it keeps its secrets.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return target
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_hex(32) + "\n")
    return target


def load_user_key(path: str | Path, warehouse: str | Path, setting: str = "ingest.user_key_file") -> bytes:
    """The key. Raises ConfigError where it is missing, malformed, or lies beside the data; never says what it holds."""
    file = Path(path).resolve()
    if file.is_relative_to(Path(warehouse).resolve()):
        raise ConfigError(f"{setting} = {str(path)!r}: lies in the warehouse; expected a place outside the data")
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{setting} = {str(path)!r}: cannot be read; expected a file with 32 bytes as hex") from None
    if not re.fullmatch(rf"(?:[0-9a-fA-F]{{2}}){{{LEAST_BYTES},}}", text):
        raise ConfigError(
            f"{setting} = {str(path)!r}: holds {len(text)} characters that are no key; "
            f"expected at least {LEAST_BYTES} bytes as hex"
        )
    return bytes.fromhex(text)


def load_user_keys(settings: IngestSettings, warehouse: str | Path) -> dict[str, bytes]:
    """Every configured key by its key_id, the current one first. Raises ConfigError where one is missing or malformed."""
    keys = {settings.key_id: load_user_key(settings.user_key_file, warehouse)}
    for key_id, path in settings.retired_keys.items():
        keys[key_id] = load_user_key(path, warehouse, f"ingest.retired_keys.{key_id}")
    return keys


def hide_keys(spark: SparkSession) -> None:
    """Redacts the pads of the key from printed plans and event logs, besides what is redacted already."""
    before = spark.conf.get(REDACTION, None)
    if before != PAD_PATTERN and not (before or "").endswith(f"|{PAD_PATTERN}"):
        spark.conf.set(REDACTION, f"{before}|{PAD_PATTERN}" if before else PAD_PATTERN)


def hmac_sha256(key: bytes, text: Column) -> Column:
    """HMAC-SHA256 of a string column as lower-case hex; null stays null."""
    import hashlib

    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner, outer = (F.unhex(F.lit(bytes(b ^ pad for b in block).hex())) for pad in (0x36, 0x5C))
    digest = F.unhex(F.sha2(F.concat(inner, text.cast("binary")), 256))
    return F.sha2(F.concat(outer, digest), 256)


def scrub(text: Column) -> Column:
    """E-mail addresses, card numbers (those with a valid check digit) and phone numbers become a word in brackets."""
    no_mail = F.regexp_replace(text, EMAIL, "<email>")
    no_card = F.when(no_mail.rlike(CARD), _without_cards(no_mail)).otherwise(no_mail)
    return F.when(text.rlike("[@0-9]"), F.regexp_replace(no_card, PHONE, "<phone>")).otherwise(text)


def excerpt(line: Column, characters: int, fields: Iterable[str] = ()) -> Column:
    """The beginning of a raw line, scrubbed, at most `characters` long; ids of people and the values of `fields` are hidden."""
    names = "|".join(re.escape(name) for name in (*PERSONAL_FIELDS, *fields))
    beginning = F.substring(line, 1, 20 * characters)
    return F.substring(scrub(F.regexp_replace(beginning, f'"({names})"{VALUE}', '"$1":"<hidden>"')), 1, characters)


def _without_cards(text: Column) -> Column:
    """Long numbers with a valid Luhn digit are replaced; bar codes, which people search for, mostly stay."""
    found = F.regexp_extract_all(text, F.lit(CARD), F.lit(0))
    cards = F.filter(found, lambda number: F.call_function("luhn_check", F.regexp_replace(number, "[ -]", "")))
    return F.aggregate(cards, text, lambda rest, number: F.replace(rest, number, F.lit("<card>")))
