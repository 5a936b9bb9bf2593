"""An S3 client with botocore: one request at a time, with timeouts and clear errors.

Importing this module imports botocore.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    SSLError,
)

from inithold.errors import NotYet, StepError, StepFailed
from inithold.net.tls import handshake_error
from inithold.redaction.sanitize import one_line
from inithold.steps.s3.verdicts import ABSENT, UNKNOWN, VIRTUAL_ONLY, WHY, refused

if TYPE_CHECKING:
    from inithold.steps.s3.bucket import Bucket

DEFAULT_REGION = "us-east-1"
_REDIRECTS = (301, 302, 303, 307, 308)


class NotSupported(Exception):
    """The server does not implement this part of the API."""


class Client:
    """A client for the bucket of a step; for fields that are None, botocore decides.

    Args:
        step: which bucket, and how to log in.
        place: the server, for messages.
        seconds: time limit of one request.
    """

    def __init__(self, step: Bucket, place: str, seconds: float) -> None:
        self._step, self._place, self._seconds = step, place, seconds
        self._session = botocore.session.get_session()
        own = None if step.endpoint else self._session.get_config_variable("region")
        self.region: str = step.region or own or DEFAULT_REGION
        # Self-hosted servers rarely have a DNS name for each bucket; one that requires it says so.
        self._client = self._open("auto" if step.endpoint is None else "path")

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """Make one request about the bucket, by a method of botocore's client, such as `get_bucket_cors`.

        Returns:
            The response; None if what was requested does not exist.

        Raises:
            NotSupported: the server does not implement the operation.
            NotYet, Rejected, StepFailed: it was refused, or there was no response.
        """
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._step.bucket, **parameters)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ABSENT:
                return None
            if code in UNKNOWN:
                raise NotSupported(code) from error
            if code in VIRTUAL_ONLY:
                self._client = self._open("virtual")
                return self.ask(operation, **parameters)
            if code in ("400", "403") and operation == "head_bucket":
                # The response to HEAD has no body with a reason; that of another request has.
                self.ask(WHY)
            raise refused(self._place, operation, self.region, error.response) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise self._failed(error) from error
        return answer

    def _open(self, addressing: str) -> Any:
        checksums = {}
        if "request_checksum_calculation" in Config.OPTION_DEFAULTS:
            # Servers other than AWS support few of the newer checksums.
            checksums = {
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            }
        settings = Config(
            s3={"addressing_style": addressing},
            # Retries are up to the runner.
            retries={"total_max_attempts": 1},
            connect_timeout=min(5.0, self._seconds),
            read_timeout=self._seconds,
            **checksums,
        )
        try:
            client = self._session.create_client(
                "s3",
                config=settings,
                region_name=self.region,
                endpoint_url=self._step.endpoint,
                aws_access_key_id=self._step.access_key,
                aws_secret_access_key=self._step.secret_key,
                verify=self._step.ca_file,
            )
        except (BotoCoreError, ValueError) as error:
            raise self._failed(error) from error
        client.meta.events.register_first("needs-retry.s3", self._refuse_redirect)
        return client

    def _refuse_redirect(self, response: Any = None, **_: Any) -> None:
        """Refuse a web server's redirect: botocore asks for the bucket's region, is redirected, and so on."""
        if response is None or response[0].status_code not in _REDIRECTS:
            return
        headers = {name.lower(): value for name, value in response[0].headers.items()}
        # S3's own redirects, to another region, are botocore's.
        if "location" in headers and "x-amz-bucket-region" not in headers:
            raise StepFailed(
                f"{self._place}: answers with a redirect to {one_line(headers['location'], 120)}",
                hint="give the endpoint that it leads to",
            )

    def _failed(self, error: Exception) -> StepError:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return StepFailed(
                f"{self._place}: no credentials",
                hint="give access_key and secret_key, or what botocore reads: variables, a profile, a role",
            )
        if isinstance(error, ParamValidationError | NoRegionError | ValueError):
            return StepFailed(f"{self._place}: {error}", hint="correct the field that it names")
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                return handshake_error(self._place, cause, trust="ca_file")
        if isinstance(error, SSLError):
            return StepFailed(f"{self._place}: TLS failed", hint="check the port, and that TLS is meant")
        if any(type(cause) is http.client.BadStatusLine for cause in causes):
            return StepFailed(f"{self._place}: the server does not speak HTTP", hint="check host and port")
        if isinstance(error, ConnectionError | HTTPClientError):
            return NotYet(f"{self._place}: no answer ({type(error).__name__})")
        return StepFailed(f"{self._place}: {error}", hint="compare the step's fields with what the server knows")


def _causes(error: object) -> Iterator[BaseException]:
    """Yield an error, and those that botocore and urllib3 wrapped in it."""
    seen: list[object] = []
    while isinstance(error, BaseException) and error not in seen:
        seen.append(error)
        yield error
        inner = next((item for item in error.args if isinstance(item, BaseException)), None)
        error = getattr(error, "reason", None) or error.__cause__ or error.__context__ or inner
