"""The plan in inithold.yaml, written in Python."""

import os

from inithold import Plan
from inithold.steps import alembic, command, database, rabbitmq
from services.init.topology import bindings, exchanges, queues
from services.models import Base

db, broker, management = (os.environ[name] for name in ("DATABASE_URL", "RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL"))
topology = rabbitmq.Topology(
    url=broker, exchanges=exchanges, queues=queues, bindings=bindings, management_url=management
)

plan = Plan("game-scheduler", lock=db)
plan.add(database.Ready(url=db), id="database")
plan.add(alembic.Upgrade(config="alembic.ini", url=db), id="migrate")
plan.add(database.Tables(url=db, tables=list(Base.metadata.tables)), id="schema")
plan.add(rabbitmq.Ready(url=broker), id="broker", needs=[])
plan.add(topology, id="topology", needs=["broker"])
seed, seeding = ["python", "-m", "services.seed"], os.environ.get("SEED_DATA") == "true"
plan.add(command.Run(run=seed, unless=[*seed, "--check"]), id="seed", needs=["schema"], when=seeding, timeout="1m")

if __name__ == "__main__":
    raise SystemExit(plan.run())
