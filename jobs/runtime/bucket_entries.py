"""A snapshot log in an object store that speaks S3 and honours `If-None-Match: *`: Amazon S3, Ceph's RADOS gateway and others.

Credentials, region and endpoint are boto3's business (AWS_PROFILE, AWS_ENDPOINT_URL_S3, a role of the machine); nothing
of them is in a configuration. `pip install mmse[s3]` brings boto3.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from jobs.runtime.errors import ConfigError, LogUnreachable
from jobs.runtime.fail_at import reached

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>\w[\w.=-]*(?:/\w[\w.=-]*)*)/?")
TAKEN = "PreconditionFailed"
BUSY = "ConditionalRequestConflict"
"""Amazon's answer to one of two writes at the same moment: to be tried again."""
TRIES, PAUSE = 20, 0.1
"""How often a busy name is asked for, and the seconds between."""


class BucketEntries:
    """Objects below one prefix of a bucket."""

    def __init__(self, address: str) -> None:
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise ConfigError(f"snapshot log at {address!r}: expected s3://BUCKET/PREFIX, of letters, digits and . _ = -")
        if find_spec("boto3") is None:
            raise ConfigError(f"snapshot log at {address!r}: needs boto3; expected it installed, by pip install 'mmse[s3]'")
        self.bucket, self.prefix = found["bucket"], found["prefix"]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @cached_property
    def client(self) -> Any:
        """boto3's client, which tries again by itself what a network has lost."""
        import boto3
        from botocore.config import Config as ClientConfig

        patience = ClientConfig(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=30)
        with self._answering():
            return boto3.session.Session().client("s3", config=patience)

    def names(self) -> list[str]:
        """Names of all objects directly below the prefix."""
        with self._answering():
            lists = self.client.get_paginator("list_objects_v2")
            pages = lists.paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/", Delimiter="/")
            return [found["Key"].rsplit("/", 1)[1] for page in pages for found in page.get("Contents", [])]

    def read(self, name: str) -> str:
        """The object's text. Raises FileNotFoundError, and LogUnreachable where the store does not answer."""
        with self._answering():
            try:
                return self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read().decode("utf-8")
            except self.client.exceptions.NoSuchKey:
                raise FileNotFoundError(f"{self}/{name}") from None

    def create(self, name: str, text: str, writer: str) -> bool:
        """Writes the object where there is none; False where a rival's is there.

        A write whose answer was lost is sent again and finds its own object, which no rival's text equals: an entry
        names its run.
        """
        reached("during_commit")
        return self.write_if_absent(name, text) or self.read(name) == text

    def write_if_absent(self, name: str, text: str) -> bool:
        """Whether the store took the object; False where it says that there is one."""
        for _ in range(TRIES):
            code = self._written(name, text)
            if code != BUSY:
                return code != TAKEN
            time.sleep(PAUSE)
        raise LogUnreachable(f"{self}/{name}: still {BUSY} after {TRIES} tries")

    def _written(self, name: str, text: str) -> str:
        """"" where the object was written, else TAKEN or BUSY."""
        from botocore.exceptions import ClientError

        with self._answering():
            try:
                self.client.put_object(Bucket=self.bucket, Key=self._key(name), Body=text.encode("utf-8"), IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) not in (TAKEN, BUSY):
                    raise
                return code_of(error)
        return ""

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turns what boto3 raises into one sentence."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise LogUnreachable(f"{self}: {error}") from error


def code_of(error: ClientError) -> str:
    """S3's name of an error, such as "NoSuchBucket"."""
    return str(error.response.get("Error", {}).get("Code", ""))
