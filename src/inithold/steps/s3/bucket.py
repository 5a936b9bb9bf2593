"""`s3.bucket`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inithold.errors import StepFailed
from inithold.net.dial import dial
from inithold.redaction.redact import SECRETS
from inithold.steps.address import WEB, parse
from inithold.steps.base import Change, Step, StepContext
from inithold.steps.s3 import settings
from inithold.steps.s3.settings import CorsRule, Difference, LifecycleRule, PublicAccessBlock, Retention

if TYPE_CHECKING:
    from inithold.steps.s3.client import Client

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 20.0
_WITHOUT_CONSTRAINT = ("us-east-1", "auto", "aws-global")
"""Regions that a new bucket is not told, because it is in them by default."""


class Bucket(Step, frozen=True, kw_only=True):
    """Make sure that a bucket exists on a server that speaks the S3 API, with the settings that the plan names.

    A setting that the plan does not name is left as it is. Of lists (rules, statements, tags), what the plan names
    is added or changed, and the rest stays; the change says what stays. No bucket, object or rule is ever deleted.

    To apply, it needs `s3:CreateBucket` and the `Put` permission of each setting that differs.

    Args:
        bucket: its name.
        endpoint: URL of the server, such as `http://minio:9000`; AWS if absent.
        region: of the bucket. If absent, `us-east-1` with an `endpoint`, else what botocore finds (`AWS_REGION`, a
            profile).
        access_key: who asks; if absent, what botocore finds (variables, files, the role of the machine).
        secret_key: of the access key.
        ca_file: certificates of the authorities to trust instead of the system's, in PEM form.
        versioning: whether older versions of objects are kept. `false` suspends it; the versions there are stay.
        object_lock: `true` lets objects be locked; `{mode: GOVERNANCE, days: 30}` also locks each new one by
            default. Most servers allow it for a new bucket alone.
        policy: who may do what: a mapping with `statement`, or JSON text.
        cors: rules for web pages.
        lifecycle: rules for objects that grow old.
        tags: of the bucket.
        public_access_block: what nobody may make public; a server that does not know it gets a warning in the log.

    Example:
        ```yaml
        - id: uploads
          uses: s3.bucket
          with:
            endpoint: http://minio:9000
            access_key: ${S3_ACCESS_KEY}
            secret_key: ${S3_SECRET_KEY}
            bucket: uploads
            versioning: true
            cors:
              - {allowed_methods: [GET, PUT], allowed_origins: ["https://app.example"]}
            lifecycle:
              - {id: expire-tmp, prefix: tmp/, expiration: {days: 7}}
        ```
    """

    kind = "s3.bucket"
    in_worker = True
    rights = (
        "`s3:ListBucket`, and the `Get` permission of each setting that the plan names: `s3:GetBucketVersioning`, "
        "`s3:GetBucketPolicy`, `s3:GetBucketCORS`, `s3:GetLifecycleConfiguration`, `s3:GetBucketTagging`, ..."
    )

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    ca_file: str | None = None
    versioning: bool | None = None
    object_lock: bool | Retention | None = None
    policy: str | dict[str, Any] | None = None
    cors: tuple[CorsRule, ...] = ()
    lifecycle: tuple[LifecycleRule, ...] = ()
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    public_access_block: PublicAccessBlock | None = None

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            SECRETS.add_url(self.endpoint)
        if self.secret_key is not None:
            SECRETS.add(self.secret_key, public=[self.bucket])

    def validate(self) -> Iterator[tuple[str, str]]:
        if not _NAME.fullmatch(self.bucket):
            yield "bucket", "expected the name of a bucket: letters, digits, hyphens and dots"
        if self.endpoint is not None:
            try:
                if parse(self.endpoint, WEB).user is not None:
                    yield "endpoint", "give user and password as access_key and secret_key"
            except ValueError as error:
                yield "endpoint", f"endpoint {error}"
        if (self.access_key is None) != (self.secret_key is None):
            missing = "secret_key" if self.secret_key is None else "access_key"
            yield missing, "access_key and secret_key belong together: give both or none"
        yield from self._contradictions()
        if self.policy is not None:
            try:
                settings.policy_form(self.policy)
            except ValueError as error:
                yield "policy", f"policy {error}"

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        lock = self.object_lock
        if lock is False:
            yield "object_lock", "a bucket cannot lose it again: leave object_lock out"
        if lock and self.versioning is False:
            yield "versioning", "object_lock needs versioning"
        if isinstance(lock, Retention) and (lock.days is None) == (lock.years is None):
            yield "object_lock", "expected either days or years"
        for index, rule in enumerate(self.lifecycle):
            if rule.prefix is not None and rule.filter is not None:
                yield f"lifecycle[{index}].prefix", "give the prefix inside the filter"
        for field, names in (
            ("lifecycle", [rule.id for rule in self.lifecycle]),
            ("cors", [rule.id for rule in self.cors if rule.id is not None]),
        ):
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                yield field, f"two rules have the id {repeated[0]!r}"

    def extras(self) -> Sequence[str]:
        return ("s3",)

    def preload(self) -> None:
        import inithold.steps.s3.client  # noqa: F401, PLC0415 - heavy

    def subject(self) -> str:
        try:
            return f"{self._place()}/{self.bucket}" if self.endpoint is not None else f"s3://{self.bucket}"
        except ValueError:
            return self.bucket

    def before_worker(self, context: StepContext) -> None:
        # A server that is not there yet costs a connection each time, not a process.
        if self.endpoint is not None:
            address = parse(self.endpoint, WEB)
            dial(address.host, address.port, timeout=context.remaining(_CONNECT_SECONDS))

    def check(self, context: StepContext) -> Sequence[Change]:
        client = self._client(context)
        if not self._exists(client):
            return (Change("+", f"bucket {self.bucket}"), *_changes(self._differences(None, context)))
        return _changes(self._differences(client, context))

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - asked again
        client = self._client(context)
        if not self._exists(client):
            client.ask("create_bucket", **self._creation(client.region))
        for setting, difference in self._differences(client, context):
            client.ask(setting.put, **setting.parameters(difference.value))

    def _client(self, context: StepContext) -> Client:
        from inithold.steps.s3.client import Client  # noqa: PLC0415 - heavy

        return Client(
            self._place(),
            self.bucket,
            endpoint=self.endpoint,
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
            ca_file=self.ca_file,
            seconds=context.remaining(_ANSWER_SECONDS),
        )

    def _place(self) -> str:
        return "S3" if self.endpoint is None else parse(self.endpoint, WEB).shown.rstrip("/")

    def _exists(self, client: Client) -> bool:
        from inithold.steps.s3.client import Absent  # noqa: PLC0415 - heavy

        try:
            client.ask("head_bucket")
        except Absent:
            return False
        return True

    def _creation(self, region: str) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if region not in _WITHOUT_CONSTRAINT:
            options["CreateBucketConfiguration"] = {"LocationConstraint": region}
        if self.object_lock:
            options["ObjectLockEnabledForBucket"] = True
        return options

    def _differences(self, client: Client | None, context: StepContext) -> list[tuple[_Setting, Difference]]:
        """What differs; without a client, of a bucket that does not exist yet."""
        result = []
        for setting in self._settings():
            current = {} if client is None else self._current(client, setting, context)
            if current is not None and (difference := setting.differs(current)) is not None:
                result.append((setting, difference))
        return result

    def _current(self, client: Client, setting: _Setting, context: StepContext) -> dict[str, Any] | None:
        """What the server has; None where it does not know the setting and need not."""
        from inithold.steps.s3.client import Absent, NotSupported  # noqa: PLC0415 - heavy

        try:
            return client.ask(setting.get)
        except Absent:
            return {}
        except NotSupported:
            if setting.name == "public_access_block":
                context.log("the server does not know public_access_block: it is left out", level="warning")
                return None
            raise StepFailed(
                f"{self._place()}: the server does not know {setting.name}",
                hint=f"take {setting.name} out of the step for this server",
            ) from None

    def _settings(self) -> Iterator[_Setting]:
        """The settings that the plan names, in the order in which they are made."""
        if (block := self.public_access_block) is not None:
            yield _Setting(
                *("public_access_block", "get_public_access_block", "put_public_access_block"),
                lambda now: settings.public_access_block(block, now.get("PublicAccessBlockConfiguration", {})),
                lambda value: {"PublicAccessBlockConfiguration": value},
            )
        if (enabled := self.versioning) is not None:
            yield _Setting(
                *("versioning", "get_bucket_versioning", "put_bucket_versioning"),
                lambda now: settings.versioning(enabled, now.get("Status")),
                lambda value: {"VersioningConfiguration": {"Status": value}},
            )
        if (lock := self.object_lock) is not None:
            yield _Setting(
                *("object_lock", "get_object_lock_configuration", "put_object_lock_configuration"),
                lambda now: settings.object_lock(lock, now.get("ObjectLockConfiguration", {})),
                lambda value: {"ObjectLockConfiguration": value},
            )
        if (given := self.policy) is not None:
            yield _Setting(
                *("policy", "get_bucket_policy", "put_bucket_policy"),
                lambda now: settings.policy(settings.policy_form(given), json.loads(now.get("Policy") or "{}")),
                lambda value: {"Policy": json.dumps(value)},
            )
        if self.cors:
            yield _Setting(
                *("cors", "get_bucket_cors", "put_bucket_cors"),
                lambda now: settings.cors(self.cors, now.get("CORSRules", [])),
                lambda value: {"CORSConfiguration": {"CORSRules": value}},
            )
        if self.lifecycle:
            yield _Setting(
                *("lifecycle", "get_bucket_lifecycle_configuration", "put_bucket_lifecycle_configuration"),
                lambda now: settings.lifecycle(self.lifecycle, now),
                lambda value: value,
            )
        if self.tags:
            yield _Setting(
                *("tags", "get_bucket_tagging", "put_bucket_tagging"),
                lambda now: settings.tags(self.tags, {tag["Key"]: tag["Value"] for tag in now.get("TagSet", [])}),
                lambda value: {"Tagging": {"TagSet": value}},
            )


class _Setting(NamedTuple):
    """One setting of a bucket: how it is asked for, compared and given."""

    name: str
    get: str
    put: str
    differs: Callable[[dict[str, Any]], Difference | None]
    parameters: Callable[[Any], dict[str, Any]]


def _changes(differences: Sequence[tuple[_Setting, Difference]]) -> tuple[Change, ...]:
    return tuple(difference.change for _, difference in differences)
