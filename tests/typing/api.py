"""The public API as a user writes it. Only type-checked, never run."""

from collections.abc import Sequence

import inithold.steps
from inithold import Change, Hold, NotYet, Plan, Retry, Settings, Step, StepContext, StepFailed
from inithold.steps import database, http, rabbitmq, s3

plan = Plan("game-scheduler", lock="postgresql://db/games", timeout="10m", hold=Hold(verify="1m", grace="30s"))
first: str = plan.add(database.Ready(url="postgresql://db/games"), id="database", timeout="1m")
plan.add(database.Tables(url="postgresql://db/games", tables=["users"]), needs=[first])
plan.add(rabbitmq.Ready(url="amqp://broker"), needs=[], retry=Retry(attempts=3, delay="250ms", max_delay="1m"))
plan.add(
    http.Ready(url="http://app/health", request_timeout="5s"), timeout="2m", retry=Retry(delay=0.5, max_delay=2)
)
plan.add(inithold.steps.database.Ready(url="postgresql://db/games"), timeout=60)
plan.add(
    rabbitmq.Topology(
        url="amqp://broker",
        exchanges=[rabbitmq.Exchange(name="events", type="topic")],
        queues=[rabbitmq.Queue(name="bots")],
        bindings=[rabbitmq.Binding(exchange="events", queue="bots", routing_key="game.*")],
    )
)
plan.add(http.Resource(url="http://app/games", body={}, create=http.Write(method="POST", url="/")))
plan.add(s3.Bucket(bucket="games", lifecycle=(s3.LifecycleRule(id="a", expiration=s3.Expiration(days=1)),)))
seconds: float = Retry(delay="1s").delay
pace: float | None = Hold(verify=60).verify


@plan.step(needs=["database"])
def seed(ctx: StepContext) -> None:
    ctx.log("seeding")
    ctx.check_cancelled()


@plan.step
def bare() -> None: ...


@plan.step(check=lambda: True)
async def warm_up() -> None: ...


class Bucket(Step, frozen=True, kw_only=True):
    kind = "s3.bucket"

    name: str

    def check(self, context: StepContext) -> Sequence[Change]:
        if not self.name:
            raise NotYet("the store is starting", probe=("store", 9000))
        return (Change("+", f"bucket {self.name}"),)

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        raise StepFailed("no", hint="yes")


if __name__ == "__main__":
    raise SystemExit(plan.run(Settings(once=True, verify="never")))
