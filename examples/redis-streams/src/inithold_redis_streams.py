"""A step kind for inithold: consumer groups of Redis Streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from inithold import Addressed, Change, NotYet, Rejected, StepContext, StepFailed


class Group(Addressed, frozen=True, kw_only=True):
    """Create a consumer group of a stream, and the stream if it does not exist.

    An existing group is not changed, however far its consumers have read.

    Args:
        url: URL of the server: `redis://user:password@redis:6379/0`.
        host: name or address of the server, instead of `url`.
        port: port of the server; 6379 if absent.
        user: user to log in as.
        password: password of the user, not percent-encoded.
        database: number of the database; 0 if absent.
        stream: key of the stream.
        group: name of the group.
        start: the entry after which the group starts: `$` for new entries only, `0` for all existing ones too.

    Example:
        ```yaml
        - id: group
          uses: redis_streams.group
          with: {url: "${REDIS_URL}", stream: game_events, group: bots}
        ```
    """

    kind = "redis_streams.group"
    rights = "XINFO GROUPS on the stream; for a database other than 0, also SELECT"
    technologies = ("redis", "rediss")
    libraries = ("redis",)  # imported late: plans without this kind do not pay for it

    stream: str
    group: str
    start: str = "$"

    def extras(self) -> Sequence[str]:
        return ("redis",)

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        if not self.stream:
            yield "stream", "expected the key of a stream"
        if not self.group:
            yield "group", "expected the name of a group"

    def check(self, context: StepContext) -> Sequence[Change]:
        with self._client(context) as client:
            there = self.group in _groups(client, self.stream)
        return [] if there else [Change("+", f"group {self.group} of stream {self.stream}")]

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        from redis.exceptions import ResponseError

        with self._client(context) as client:
            try:
                client.xgroup_create(self.stream, self.group, id=self.start, mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
                context.log("somebody else has just created it")

    @contextmanager
    def _client(self, context: StepContext) -> Iterator[Any]:
        """A connection; maps its errors to those that are retried and those that are not."""
        self.load()
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        address, seconds = self.address(), context.remaining(5.0)
        client = redis.Redis.from_url(
            address.url(),
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),  # inithold decides when to try again
        )
        errors = redis.exceptions
        try:
            yield client
        except (errors.AuthenticationError, errors.NoPermissionError) as error:
            raise Rejected(f"{address.shown}: {error}", hint="check user, password and the user's ACL") from error
        except (errors.ConnectionError, errors.TimeoutError) as error:
            raise NotYet(f"{address.place}: {error}", probe=address.probe) from error
        except errors.ResponseError as error:
            raise StepFailed(f"{address.place}: {error}") from error
        finally:
            client.close()


def _groups(client: Any, stream: str) -> list[str]:
    from redis.exceptions import ResponseError

    try:
        return [found["name"].decode() for found in client.xinfo_groups(stream)]
    except ResponseError as error:
        if "no such key" in str(error):
            return []
        raise
