"""s3.bucket against a real server of the S3 API, and scripted ones for what it cannot be made to answer."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fake_server import fake_server
from inithold.errors import NotYet, Rejected, StepFailed
from inithold.steps.s3 import Bucket
from inithold.testing import check, drive
from servers.inithold import Inithold
from servers.ports import closed_port
from servers.seaweedfs import SeaweedFS

CORS = {"allowed_methods": ["GET", "PUT"], "allowed_origins": ["https://app.example"], "max_age_seconds": 60}
READ = {
    "sid": "PublicRead",
    "effect": "Allow",
    "principal": "*",
    "action": ["s3:GetObject"],
    "resource": ["arn:aws:s3:::{name}/*"],
}


@pytest.fixture
def name() -> str:
    return f"bucket-{uuid.uuid4().hex[:12]}"


def bucket(server: SeaweedFS, name: str, user: str = "admin", **fields: Any) -> Bucket:
    """A step as a plan file gives it."""
    return msgspec.convert({"bucket": name, **server.login(user), **fields}, Bucket)


def policy(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "version": "2012-10-17",
        "statement": [{**READ, "resource": [f"arn:aws:s3:::{name}/*"], **changed}],
    }


def test_is_made_once(seaweedfs: SeaweedFS, name: str) -> None:
    step = bucket(seaweedfs, name)
    assert drive(step).changes == (f"+ bucket {name}",)
    assert drive(step).outcome == "unchanged"
    assert step.subject() == f"{seaweedfs.endpoint}/{name}"


def test_is_made_with_its_settings_and_then_is_in_place(seaweedfs: SeaweedFS, name: str) -> None:
    step = bucket(
        seaweedfs,
        name,
        versioning=True,
        policy=policy(name),
        cors=[CORS],
        lifecycle=[{"id": "expire-tmp", "prefix": "tmp/", "expiration": {"days": 7}}],
        tags={"team": "games"},
    )
    result = drive(step)
    assert result.outcome == "changed", result.reason
    assert result.changes == (
        f"+ bucket {name}",
        "~ versioning off -> enabled",
        "~ policy (1 to add)",
        "~ cors (1 to add)",
        "~ lifecycle (1 to add)",
        "~ tags",
    )
    assert drive(step).outcome == "unchanged"
    client = seaweedfs.client()
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert client.get_bucket_cors(Bucket=name)["CORSRules"][0]["MaxAgeSeconds"] == 60


def test_what_the_plan_does_not_name_stays_and_is_said(seaweedfs: SeaweedFS, name: str) -> None:
    client = seaweedfs.client()
    client.create_bucket(Bucket=name)
    rule = {"ID": "legacy", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "owner", "Value": "ops"}]})
    step = bucket(
        seaweedfs,
        name,
        tags={"team": "games"},
        lifecycle=[{"id": "expire-tmp", "prefix": "tmp/", "expiration": {"days": 7}}],
    )
    lifecycle, tags = check(step)
    assert lifecycle.details == ("+ expire-tmp", "  legacy stays")
    assert tags.details == ("+ team=games", "  owner=ops stays")
    assert drive(step).outcome == "changed"
    rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {rule["ID"] for rule in rules} == {"legacy", "expire-tmp"}
    tagged = {tag["Key"]: tag["Value"] for tag in client.get_bucket_tagging(Bucket=name)["TagSet"]}
    assert tagged == {"team": "games", "owner": "ops"}


def test_what_is_named_is_changed_in_place(seaweedfs: SeaweedFS, name: str) -> None:
    before = {"id": "expire-tmp", "prefix": "tmp/", "expiration": {"days": 7}}
    drive(bucket(seaweedfs, name, lifecycle=[before], tags={"team": "games"}, policy=policy(name)))
    step = bucket(
        seaweedfs,
        name,
        lifecycle=[{**before, "expiration": {"days": 30}}],
        tags={"team": "core"},
        policy=policy(name, action=["s3:GetObject", "s3:ListBucket"]),
    )
    changes = {change.what.partition(" ")[0]: change.details for change in check(step)}
    assert changes["lifecycle"] == ("~ expire-tmp: expiration.days 7 -> 30",)
    assert changes["tags"] == ("~ team games -> core",)
    assert changes["policy"] == ('~ PublicRead: action s3:GetObject -> ["s3:GetObject", "s3:ListBucket"]',)
    assert drive(step).outcome == "changed"
    assert drive(step).outcome == "unchanged"


def test_versioning_is_suspended_and_never_ended(seaweedfs: SeaweedFS, name: str) -> None:
    assert drive(bucket(seaweedfs, name, versioning=False)).changes == (f"+ bucket {name}",)
    drive(bucket(seaweedfs, name, versioning=True))
    step = bucket(seaweedfs, name, versioning=False)
    assert drive(step).changes == ("~ versioning enabled -> suspended",)
    assert drive(step).outcome == "unchanged"


def test_object_lock_with_a_default_retention(seaweedfs: SeaweedFS, name: str) -> None:
    step = bucket(seaweedfs, name, object_lock={"mode": "GOVERNANCE", "days": 30})
    assert drive(step).outcome == "changed"
    assert drive(step).outcome == "unchanged"
    longer = bucket(seaweedfs, name, object_lock={"mode": "GOVERNANCE", "days": 60})
    assert check(longer)[0].details == ("days 30 -> 60",)


def test_a_policy_as_json_text_is_the_same(seaweedfs: SeaweedFS, name: str) -> None:
    drive(bucket(seaweedfs, name, policy=policy(name)))
    text = (
        '{"Version": "2012-10-17", "Statement": {"Sid": "PublicRead", "Effect": "Allow", "Principal": "*", '
        f'"Action": "s3:GetObject", "Resource": "arn:aws:s3:::{name}/*"}}}}'
    )
    assert check(bucket(seaweedfs, name, policy=text)) == ()


def test_a_setting_that_the_server_does_not_know(seaweedfs: SeaweedFS, name: str) -> None:
    step = bucket(seaweedfs, name, public_access_block={"block_public_acls": True})
    result = drive(step)
    assert result.outcome == "changed"
    assert "the server does not know public_access_block: it is left out" in result.log
    assert drive(step).outcome == "unchanged"


@pytest.mark.parametrize(
    ("login", "words", "hint"),
    [
        ({"access_key": "nobody"}, "does not exist in our records", "access_key"),
        ({"secret_key": "wrong-secret"}, "does not match the signature", "secret_key"),
    ],
)
def test_a_wrong_key_is_rejected(
    login: dict[str, str], words: str, hint: str, seaweedfs: SeaweedFS, name: str
) -> None:
    step = bucket(seaweedfs, name, **login)
    with pytest.raises(Rejected, match=words) as raised:
        check(step)
    assert hint in (raised.value.hint or "")


def test_who_may_only_look_can_check_and_not_apply(seaweedfs: SeaweedFS, name: str) -> None:
    step = bucket(seaweedfs, name, "looker", versioning=True)
    assert [str(change) for change in check(step)] == [f"+ bucket {name}", "~ versioning off -> enabled"]
    result = drive(step)
    assert result.outcome == "failed"
    assert "Access Denied" in result.reason
    assert "rights" in (result.finished.hint or "")


def everything(name: str) -> dict[str, Any]:
    return {
        "versioning": True,
        "object_lock": True,
        "policy": policy(name),
        "cors": [CORS],
        "lifecycle": [{"id": "expire", "prefix": "tmp/", "expiration": {"days": 7}}],
        "tags": {"team": "games"},
    }


def test_the_rights_of_the_check_are_enough_for_it(seaweedfs: SeaweedFS, name: str) -> None:
    assert drive(bucket(seaweedfs, name, **everything(name))).outcome == "changed"
    assert check(bucket(seaweedfs, name, "checker", **everything(name))) == ()
    other = drive(bucket(seaweedfs, name, "checker", tags={"team": "other"}))
    assert "Access Denied" in other.reason
    assert "(put_bucket_tagging)" in other.reason


def test_the_rights_of_the_apply_are_enough_for_it(seaweedfs: SeaweedFS, name: str) -> None:
    driven = drive(bucket(seaweedfs, name, "applier", **everything(name)))
    assert (driven.outcome, driven.reason) == ("changed", "")
    assert drive(bucket(seaweedfs, name, "applier", **everything(name))).outcome == "unchanged"


@pytest.mark.parametrize(
    ("user", "operation"),
    [("applier-without-ListBucket", "head_bucket"), ("applier-without-PutBucketCors", "put_bucket_cors")],
)
def test_without_one_of_the_rights(seaweedfs: SeaweedFS, name: str, user: str, operation: str) -> None:
    assert drive(bucket(seaweedfs, name)).outcome == "changed"
    driven = drive(bucket(seaweedfs, name, user, cors=[CORS]))
    assert driven.outcome == "failed"
    assert f"({operation})" in driven.reason
    assert "rights" in (driven.finished.hint or "")


def test_a_name_that_the_service_refuses(seaweedfs: SeaweedFS) -> None:
    result = drive(bucket(seaweedfs, "Not_A_Name"))
    assert result.outcome == "failed"
    assert "not valid" in result.reason
    assert "lower-case letters" in (result.finished.hint or "")


def test_nobody_there_is_not_yet(name: str) -> None:
    with closed_port() as port, pytest.raises(NotYet, match="refused") as raised:
        check(Bucket(bucket=name, endpoint=f"http://127.0.0.1:{port}", access_key="a", secret_key="b"))
    assert raised.value.probe


def test_a_server_that_starts_later_is_waited_for(name: str) -> None:
    server = SeaweedFS()
    try:
        server.start()
        server.kill()
        step = bucket(server, name)
        with pytest.raises(NotYet):
            check(step)
        server.start()
        assert drive(step, timeout=60).outcome == "changed"
    finally:
        server.close()


def http_answer(status: int, code: str = "", headers: str = "") -> Callable[[Any], None]:
    """A server of the S3 API that answers every request in the same way."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>words of it</Message></Error>".encode()

    def behaviour(connection: Any) -> None:
        while data := connection.recv(65536):
            head = data.startswith(b"HEAD")
            text = f"HTTP/1.1 {status} x\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(f"{text}{headers}\r\n".encode() + (b"" if head else body))

    return behaviour


@pytest.mark.parametrize(
    ("status", "code", "headers", "kind", "words"),
    [
        (503, "SlowDown", "", NotYet, "Service Unavailable"),
        (503, "XMinioServerNotInitialized", "", NotYet, "Service Unavailable"),
        (500, "InternalError", "", NotYet, "Internal Server Error"),
        (403, "AccessDenied", "", StepFailed, "words of it"),
        (400, "ExpiredToken", "", Rejected, "words of it"),
        (301, "", "Location: https://s3.example.org/\r\n", StepFailed, "a redirect to https://s3.example.org/$"),
        (301, "PermanentRedirect", "x-amz-bucket-region: eu-central-1\r\n", StepFailed, "region is not us-east-1"),
    ],
)
def test_what_a_server_answers(
    status: int, code: str, headers: str, kind: type[Exception], words: str, name: str
) -> None:
    with fake_server(http_answer(status, code, headers)) as port:
        step = Bucket(bucket=name, endpoint=f"http://127.0.0.1:{port}", access_key="a", secret_key="b" * 10)
        with pytest.raises(kind, match=words) as raised:
            check(step)
        assert type(raised.value) is kind
        if code == "PermanentRedirect":
            assert raised.value.hint == "set region: eu-central-1"  # type: ignore[attr-defined]


def test_a_bucket_that_somebody_else_makes_at_the_same_moment(name: str) -> None:
    made = threading.Event()

    def behaviour(connection: Any) -> None:
        while data := connection.recv(65536):
            status = "200 OK" if made.is_set() else "404 Not Found"
            if data.startswith(b"PUT"):
                made.set()
                status = "409 Conflict"
            body = b"" if data.startswith(b"HEAD") else b"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>"
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    with fake_server(behaviour) as port:
        step = Bucket(bucket=name, endpoint=f"http://127.0.0.1:{port}", access_key="a", secret_key="b" * 10)
        assert drive(step).outcome == "changed"


def test_in_a_plan(seaweedfs: SeaweedFS, name: str, run_inithold: Inithold) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(
        f"""
name: buckets
steps:
  - id: uploads
    uses: s3.bucket
    with:
      endpoint: {seaweedfs.endpoint}
      access_key: admin-key
      secret_key: ${{SECRET}}
      bucket: {name}
      cors: [{{allowed_methods: [GET], allowed_origins: ["*"]}}]
"""
    )
    environment = {"SECRET": "secret-of-admin"}
    first = run_inithold("run", "--once", env=environment)
    assert first.returncode == 0, first.stderr
    assert f"+ bucket {name}" in first.stderr
    second = run_inithold("run", "--once", env=environment)
    assert "unchanged" in second.stderr
    assert "secret-of-admin" not in first.stderr + second.stderr


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bucket": "a/b"}, "expected the name of a bucket"),
        ({"access_key": "a"}, "belong together"),
        ({"endpoint": "minio:9000"}, "endpoint"),
        ({"object_lock": False}, "cannot lose it"),
        ({"object_lock": {"mode": "COMPLIANCE"}}, "either days or years"),
        ({"versioning": False, "object_lock": True}, "needs versioning"),
        ({"policy": "{"}, "is not JSON"),
        ({"policy": {"version": "x"}}, "expected a statement"),
        ({"lifecycle": [{"id": "a", "prefix": "x", "filter": {"prefix": "x"}}]}, "inside the filter"),
        ({"lifecycle": [{"id": "a"}, {"id": "a"}]}, "two rules have the id 'a'"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, Any], words: str) -> None:
    step = msgspec.convert({"bucket": "uploads", **fields}, Bucket)
    assert words in "\n".join(message for _, message in step.validate())
