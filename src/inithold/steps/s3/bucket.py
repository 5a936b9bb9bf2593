"""`s3.bucket`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from inithold.errors import StepFailed
from inithold.net.dial import dial
from inithold.redaction.redact import SECRETS
from inithold.steps.address import WEB, parse
from inithold.steps.base import Change, Step, StepContext, convert_fields
from inithold.steps.s3 import settings
from inithold.steps.s3.settings import CorsRule, Difference, LifecycleRule, PublicAccessBlock, Retention

if TYPE_CHECKING:
    from inithold.steps.s3.client import Client

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 20.0
_WITHOUT_CONSTRAINT = ("us-east-1", "auto", "aws-global")
"""Regions that must not be given as LocationConstraint for a new bucket, because they are the default."""
_STRUCTS: dict[str, Any] = {
    "object_lock": bool | Retention | None,
    "cors": tuple[CorsRule, ...],
    "lifecycle": tuple[LifecycleRule, ...],
    "public_access_block": PublicAccessBlock | None,
}


class Bucket(Step, frozen=True, kw_only=True):
    """Create a bucket on AWS S3 or a compatible server, and apply the settings in the plan.

    Settings that the plan does not mention stay as they are. In lists (rules, statements, tags), the plan's
    entries are added or changed and all others stay; the change says which. No bucket, object or rule is ever
    deleted.

    Args:
        bucket: name of the bucket.
        endpoint: URL of the server, such as `http://minio:9000`; AWS if absent.
        region: region of the bucket. If absent, `us-east-1` with an `endpoint`, otherwise what botocore finds
            (`AWS_REGION`, a profile).
        access_key: access key; if absent, what botocore finds (variables, files, the machine's role).
        secret_key: secret key for the access key.
        ca_file: PEM file of CA certificates to trust instead of the system's.
        versioning: whether older versions of objects are kept. `false` suspends versioning; existing versions
            stay.
        object_lock: `true` lets objects be locked; `{mode: GOVERNANCE, days: 30}` also locks every new object by
            default. Most servers allow it only for a new bucket.
        policy: the bucket policy: a mapping with `statement`, or JSON text.
        cors: rules for cross-origin requests by web pages.
        lifecycle: rules for objects as they age.
        tags: tags of the bucket.
        public_access_block: which public access to block; on a server without this feature, only a warning in the
            log.

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
        "`s3:ListBucket`, and one for each setting in the plan: `s3:GetBucketVersioning`, "
        "`s3:GetBucketObjectLockConfiguration`, `s3:GetBucketPolicy`, `s3:GetBucketCORS`, "
        "`s3:GetLifecycleConfiguration`, `s3:GetBucketTagging`, `s3:GetBucketPublicAccessBlock`"
    )
    apply_rights = (
        "`s3:CreateBucket` to create it, and for each setting the same name with `Put`: "
        "`s3:PutBucketVersioning`, `s3:PutBucketPolicy`, ..."
    )

    libraries = ("inithold.steps.s3.client",)

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
        convert_fields(self, **_STRUCTS)

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
        if self.policy is not None:
            try:
                settings.policy_form(self.policy)
            except ValueError as error:
                yield "policy", f"policy {error}"
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

    def subject(self) -> str:
        try:
            return f"{self._place()}/{self.bucket}" if self.endpoint is not None else f"s3://{self.bucket}"
        except ValueError:
            return self.bucket

    def before_worker(self, context: StepContext) -> None:
        # While the server is not up yet, an attempt costs a connection, not a worker process.
        if self.endpoint is not None:
            address = parse(self.endpoint, WEB)
            dial(address.host, address.port, timeout=context.remaining(_CONNECT_SECONDS))

    def check(self, context: StepContext) -> Sequence[Change]:
        client = self._client(context)
        exists = client.ask("head_bucket") is not None
        changes = [difference.change for _, difference in self._differences(client if exists else None, context)]
        return tuple(changes if exists else [Change("+", f"bucket {self.bucket}"), *changes])

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - asked again
        client = self._client(context)
        if client.ask("head_bucket") is None:
            options: dict[str, Any] = {"ObjectLockEnabledForBucket": True} if self.object_lock else {}
            if client.region not in _WITHOUT_CONSTRAINT:
                options["CreateBucketConfiguration"] = {"LocationConstraint": client.region}
            try:
                client.ask("create_bucket", **options)
            except StepFailed:
                # Something else may have created it at the same moment.
                if client.ask("head_bucket") is None:
                    raise
        for operation, difference in self._differences(client, context):
            client.ask(f"put_{operation}", **difference.put)

    def _client(self, context: StepContext) -> Client:
        from inithold.steps.s3.client import Client  # noqa: PLC0415 - heavy

        return Client(self, self._place(), context.remaining(_ANSWER_SECONDS))

    def _place(self) -> str:
        return "S3" if self.endpoint is None else parse(self.endpoint, WEB).shown.rstrip("/")

    def _differences(self, client: Client | None, context: StepContext) -> Iterator[tuple[str, Difference]]:
        """Yield the settings that differ, in the order to apply them; without a client, for a new bucket."""
        from inithold.steps.s3.client import NotSupported  # noqa: PLC0415 - heavy

        for name, (operation, compare) in _SETTINGS.items():
            given = getattr(self, name)
            if given is None or given in ((), {}):
                continue
            try:
                current = (client and client.ask(f"get_{operation}")) or {}
            except NotSupported:
                if name == "public_access_block":
                    context.log(f"the server does not know {name}: it is left out", level="warning")
                    continue
                raise StepFailed(
                    f"{self._place()}: the server does not know {name}",
                    hint=f"take {name} out of the step for this server",
                ) from None
            if (difference := compare(given, current)) is not None:
                yield operation, difference


_SETTINGS: dict[str, tuple[str, Callable[[Any, dict[str, Any]], Difference | None]]] = {
    "public_access_block": ("public_access_block", settings.public_access_block),
    "versioning": ("bucket_versioning", settings.versioning),
    "object_lock": ("object_lock_configuration", settings.object_lock),
    "policy": ("bucket_policy", settings.policy),
    "cors": ("bucket_cors", settings.cors),
    "lifecycle": ("bucket_lifecycle_configuration", settings.lifecycle),
    "tags": ("bucket_tagging", settings.tags),
}
"""The fields that are settings, in the order to apply them: botocore's name, and the comparison."""
