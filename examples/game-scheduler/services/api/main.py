"""The HTTP service: create, list and join game sessions."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session, selectinload

from services import daemon, database
from services.api import scheduling
from services.api.messages import NewSession, Player, Snowflake
from services.models import Base, GameSession

app = FastAPI(title="game-scheduler")


@cache
def engine() -> Engine:
    return database.connect(*Base.metadata.tables)


def transaction() -> Iterator[Session]:
    with Session(engine()) as session, session.begin():
        yield session


# With this scope the commit comes before the answer: after a 201 the session is there.
Transaction = Annotated[Session, Depends(transaction, scope="function")]


@app.exception_handler(OperationalError)
@app.exception_handler(ProgrammingError)  # a missing table: the database was recreated
def database_away(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "the database does not answer as it should"}, status_code=503)


def shown(session: GameSession) -> dict[str, Any]:
    columns = ("id", "title", "game", "status", "starts_at", "ends_at", "max_players")
    values = {name: getattr(session, name) for name in columns}
    return {**values, "players": [player.display_name for player in session.players]}


@app.get("/health")
def health(db: Transaction) -> dict[str, str]:
    db.execute(select(GameSession.id).limit(1))
    return {"status": "ok"}


@app.post("/sessions", status_code=201)
def create(new: NewSession, db: Transaction) -> dict[str, Any]:
    return shown(scheduling.create(db, new))


@app.get("/sessions")
def index(db: Transaction, status: str | None = None) -> list[dict[str, Any]]:
    query = select(GameSession).options(selectinload(GameSession.players)).order_by(GameSession.starts_at.desc())
    wanted = query.filter_by(status=status) if status else query
    return [shown(session) for session in db.scalars(wanted.limit(100))]


@app.post("/sessions/{session_id}/players", status_code=201)
def join(session_id: Snowflake, player: Player, db: Transaction) -> dict[str, Any]:
    session = db.get(GameSession, session_id, with_for_update=True)  # one at a time takes the last seat
    if session is None:
        raise HTTPException(404, "no such session")
    try:
        scheduling.join(db, session, player)
    except scheduling.RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return shown(session)


def main() -> int:
    daemon.setup_logging()
    try:
        engine()
    except daemon.MissingError as error:
        daemon.log.critical("api cannot work: %s. See what init says: docker compose logs init", error)
        return 1
    except OperationalError as error:
        daemon.log.critical("api cannot work: %s", str(error.orig).strip())
        return 1
    # uvicorn raises the signal again once it has shut down; this makes that a clean exit.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
