"""The settings of a bucket in a plan, in snake_case, and their comparison with the server's.

Names and meanings are those of the Amazon S3 API Reference:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Types_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from inithold.steps.base import Change

Object = dict[str, Any]


class CorsRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which web pages may use the bucket, and how.

    Args:
        allowed_methods: such as `GET`, `PUT`, `POST`, `DELETE`, `HEAD`.
        allowed_origins: such as `https://app.example`, with at most one `*` each.
        allowed_headers: what a preflight request may ask for.
        expose_headers: response headers that scripts may read.
        max_age_seconds: how long a browser may cache the response to a preflight request.
        id: name of the rule, so that it can be changed later.
    """

    allowed_methods: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int | None = None
    id: str | None = None


class Expiration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When objects expire.

    Args:
        days: number of days after their creation.
        date: at midnight UTC on this day, such as `2030-01-01`.
        expired_object_delete_marker: remove delete markers that no longer hide any version.
    """

    days: int | None = None
    date: date | None = None
    expired_object_delete_marker: bool | None = None


class NoncurrentExpiration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When noncurrent versions expire.

    Args:
        noncurrent_days: number of days after a newer version replaced them.
        newer_noncurrent_versions: how many of them to keep.
    """

    noncurrent_days: int | None = None
    newer_noncurrent_versions: int | None = None


class AbortUpload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When incomplete multipart uploads are removed.

    Args:
        days_after_initiation: number of days after they began.
    """

    days_after_initiation: int


class Transition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When objects move to another storage class.

    Args:
        storage_class: such as `STANDARD_IA` or `GLACIER`.
        days: number of days after their creation.
        date: at midnight UTC on this day.
    """

    storage_class: str
    days: int | None = None
    date: date | None = None


class NoncurrentTransition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When noncurrent versions move to another storage class.

    Args:
        storage_class: such as `GLACIER`.
        noncurrent_days: number of days after a newer version replaced them.
        newer_noncurrent_versions: how many of them stay where they are.
    """

    storage_class: str
    noncurrent_days: int | None = None
    newer_noncurrent_versions: int | None = None


class LifecycleRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to objects as they age.

    Args:
        id: name of the rule.
        prefix: key prefix of the objects it applies to; all objects if absent.
        filter: which objects it applies to, if a prefix alone is not enough, in S3's form:
            `{tag: {key: a, value: b}}` or `{and: {prefix: tmp/, tags: [...], object_size_greater_than: 1024}}`.
        status: `Enabled`, or `Disabled` to keep the rule without applying it.
        expiration: when objects expire.
        noncurrent_version_expiration: when noncurrent versions expire.
        abort_incomplete_multipart_upload: when incomplete uploads are removed.
        transitions: when objects move to other storage classes.
        noncurrent_version_transitions: when noncurrent versions move to other storage classes.
    """

    id: str
    prefix: str | None = None
    filter: dict[str, Any] | None = None
    status: Literal["Enabled", "Disabled"] = "Enabled"
    expiration: Expiration | None = None
    noncurrent_version_expiration: NoncurrentExpiration | None = None
    abort_incomplete_multipart_upload: AbortUpload | None = None
    transitions: tuple[Transition, ...] = ()
    noncurrent_version_transitions: tuple[NoncurrentTransition, ...] = ()


class PublicAccessBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Public access to block, regardless of policies and access control lists.

    Args:
        block_public_acls: refuse access control lists that grant public access.
        ignore_public_acls: ignore existing access control lists that grant public access.
        block_public_policy: refuse policies that grant public access.
        restrict_public_buckets: let only the owner's account use a bucket with such a policy.
    """

    block_public_acls: bool | None = None
    ignore_public_acls: bool | None = None
    block_public_policy: bool | None = None
    restrict_public_buckets: bool | None = None


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Default retention of new objects: how long they cannot be deleted.

    Args:
        mode: `GOVERNANCE`, which users with a special permission can bypass, or `COMPLIANCE`, which nobody can.
        days: number of days.
        years: number of years.
    """

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    days: int | None = None
    years: int | None = None


class Difference(NamedTuple):
    """The difference of one setting of a bucket.

    Attributes:
        change: as shown to users.
        put: the parameters of the request that sets it, in S3's form: the plan's values, and those that stay.
    """

    change: Change
    put: Object


# -- names


def s3_name(name: str) -> str:
    """Convert a name in snake_case to S3's: `max_age_seconds` becomes `MaxAgeSeconds`."""
    return "ID" if name == "id" else "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def s3_form(value: Any) -> Any:
    """Convert a value of a plan to S3's form, without what is absent; capitalized names stay."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value, builtin_types=(date,))
    if isinstance(value, Mapping):
        return {s3_name(name): s3_form(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [s3_form(item) for item in value]
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value


def policy_form(given: str | Mapping[str, Any]) -> Object:
    """Convert a policy to S3's form.

    Args:
        given: JSON text, or a mapping with names in snake_case or in S3's spelling.

    Raises:
        ValueError: it is not a policy; the message says what is expected.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from None
    form = _policy_names(given)
    statements = [_policy_names(statement) for statement in _as_list(form.get("Statement", []))]
    if not statements or not all("Effect" in statement for statement in statements):
        raise ValueError("expected a statement, or a list of them, each with effect, principal, action, resource")
    for statement in statements:
        for name in ("Principal", "NotPrincipal", "Condition"):
            if isinstance(statement.get(name), Mapping):
                statement[name] = _policy_names(statement[name])
    return {**form, "Statement": statements}


def _policy_names(given: Any) -> Object:
    # In policies these two are not capitalized by the usual rule.
    own = {"id": "Id", "aws": "AWS"}
    items = given.items() if isinstance(given, Mapping) else ()
    return {own.get(name, s3_name(name)): value for name, value in items}


# -- comparisons of the plan's setting with the server's response, which is empty if it has none


def public_access_block(given: PublicAccessBlock, current: Object) -> Difference | None:
    """Compare the blocked public access."""
    now, form = current.get("PublicAccessBlockConfiguration", {}), s3_form(given)
    details = _fields({name: now.get(name, False) for name in form}, form)
    if not details:
        return None
    return Difference(
        Change("~", "public access block", details), {"PublicAccessBlockConfiguration": {**now, **form}}
    )


def versioning(enabled: bool, current: Object) -> Difference | None:
    """Compare whether versions are kept; switching it off keeps existing versions."""
    status = current.get("Status")
    if enabled == (status == "Enabled"):
        return None
    value = "Enabled" if enabled else "Suspended"
    change = Change("~", f"versioning {(status or 'off').lower()} -> {value.lower()}")
    return Difference(change, {"VersioningConfiguration": {"Status": value}})


def object_lock(given: bool | Retention, current: Object) -> Difference | None:
    """Compare whether objects can be locked, and the default retention, which `True` leaves as it is."""
    now = current.get("ObjectLockConfiguration", {})
    retention = s3_form(given) if isinstance(given, Retention) else {}
    before = dict(now.get("Rule", {}).get("DefaultRetention", {}))
    details = _fields(before, retention) if retention else ()
    locked = now.get("ObjectLockEnabled") == "Enabled"
    if locked and not details:
        return None
    value: Object = {"ObjectLockEnabled": "Enabled"}
    if retention or before:
        value["Rule"] = {"DefaultRetention": retention or before}
    change = Change("~", "object lock" if locked else "object lock off -> enabled", details)
    return Difference(change, {"ObjectLockConfiguration": value})


def policy(given: str | Mapping[str, Any], current: Object) -> Difference | None:
    """Compare a policy's statements; others stay."""
    form, now = policy_form(given), json.loads(current.get("Policy") or "{}")

    def words(rule: Object) -> str:
        actions = _as_list(rule.get("Action", rule.get("NotAction", "?")))
        return str(rule.get("Sid") or f"{rule.get('Effect', '?')} {', '.join(map(str, actions))}")

    result = _rules("policy", form["Statement"], _as_list(now.get("Statement", [])), "Sid", words)
    if result is None:
        return None
    version = form.get("Version") or now.get("Version") or "2012-10-17"
    return Difference(
        result[0], {"Policy": json.dumps({**now, **form, "Version": version, "Statement": result[1]})}
    )


def cors(rules: Sequence[CorsRule], current: Object) -> Difference | None:
    """Compare CORS rules."""

    def words(rule: Object) -> str:
        name = f"{rule['ID']}: " if rule.get("ID") else ""
        return f"{name}{', '.join(rule['AllowedMethods'])} from {', '.join(rule['AllowedOrigins'])}"

    result = _rules("cors", [s3_form(rule) for rule in rules], current.get("CORSRules", []), "ID", words)
    return result and Difference(result[0], {"CORSConfiguration": {"CORSRules": result[1]}})


def lifecycle(rules: Sequence[LifecycleRule], current: Object) -> Difference | None:
    """Compare lifecycle rules; the rest of the configuration is sent back unchanged."""
    given = []
    for rule in rules:
        form = s3_form(rule)
        # Always in `Filter`: some servers no longer accept the older form, `Prefix` beside it.
        prefix = form.pop("Prefix", "")
        given.append({**form, "Status": rule.status, "Filter": form.get("Filter") or {"Prefix": prefix}})
    result = _rules("lifecycle", given, current.get("Rules", []), "ID", lambda rule: rule.get("ID", "a rule"))
    size = "TransitionDefaultMinimumObjectSize"
    kept = {size: current[size]} if size in current else {}
    return result and Difference(result[0], {"LifecycleConfiguration": {"Rules": result[1]}, **kept})


def tags(given: Mapping[str, str], current: Object) -> Difference | None:
    """Compare tags."""
    now = {tag["Key"]: tag["Value"] for tag in current.get("TagSet", [])}
    details = [
        f"+ {key}={value}" if key not in now else f"~ {key} {now[key]} -> {value}"
        for key, value in given.items()
        if now.get(key) != value
    ]
    if not details:
        return None
    details += [f"  {key}={value} stays" for key, value in now.items() if key not in given]
    value = [{"Key": key, "Value": value} for key, value in (now | dict(given)).items()]
    return Difference(Change("~", "tags", tuple(details)), {"Tagging": {"TagSet": value}})


def _rules(
    what: str, given: Sequence[Object], current: Sequence[Object], key: str, words: Callable[[Object], str]
) -> tuple[Change, list[Object]] | None:
    """Compare a list of rules: one with an existing key changes that rule, others are added, none is removed."""
    left = list(current)
    result: list[Object] = []
    details: list[str] = []
    added = changed = 0
    for rule in given:
        # If the plan gives no name, the server chooses it.
        ignored = () if key in rule else (key,)
        same = next((other for other in left if _normal(rule) == _normal(other, ignored)), None)
        named = next((other for other in left if key in rule and other.get(key) == rule[key]), None)
        before = same or named
        if before is not None:
            left.remove(before)
        if same is None and named is not None:
            changed += 1
            details += [f"~ {words(rule)}: {line}" for line in _fields(_normal(named), _normal(rule))]
        elif same is None:
            added += 1
            details.append(f"+ {words(rule)}")
        result.append(same or rule)
    if not details:
        return None
    counts = [f"{number} to {verb}" for number, verb in ((added, "add"), (changed, "change")) if number]
    details += [f"  {words(rule)} stays" for rule in left]
    return Change("~", f"{what} ({', '.join(counts)})", tuple(details)), [*left, *result]


def _normal(value: Any, ignored: Sequence[str] = ()) -> Any:
    """Normalize a value: servers replace a list of one by its item, and reorder lists."""
    if isinstance(value, Mapping):
        items = {name: _normal(item) for name, item in value.items() if name not in ignored}
        if "Prefix" in items and "Filter" not in items and "Status" in items:
            items["Filter"] = {"Prefix": items.pop("Prefix")}
        if items.get("Filter") in ({}, {"Prefix": ""}):
            del items["Filter"]
        # Servers return 0 or false for what was not given.
        return {name: item for name, item in items.items() if item not in ({}, [], None, 0)}
    if isinstance(value, list | tuple):
        normal = [_normal(item) for item in value]
        return normal[0] if len(normal) == 1 else sorted(normal, key=_text)
    return value.date().isoformat() if isinstance(value, datetime) else value


def _fields(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> tuple[str, ...]:
    lines: list[str] = []
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name), after.get(name)
        letters = (f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        snake = name.lower() if name.isupper() else "".join(letters).lstrip("_")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += _fields(old, new, f"{within}{snake}.")
        elif old != new:
            lines.append(f"{within}{snake} {_text(old)} -> {_text(new)}")
    return tuple(lines)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
