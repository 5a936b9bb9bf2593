"""What clients send, checked before it comes near the database."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, model_validator

Snowflake = Annotated[int, Field(gt=0, lt=2**63)]  # Discord's ids


class Player(BaseModel):
    discord_id: Snowflake
    display_name: str = Field(min_length=1, max_length=80)


class NewSession(BaseModel):
    guild_id: Snowflake
    channel_id: Snowflake
    host: Player
    title: str = Field(min_length=1, max_length=200)
    game: str = Field(min_length=1, max_length=100)
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    max_players: int = Field(default=5, ge=1, le=100)

    @model_validator(mode="after")
    def ends_after_start(self) -> NewSession:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self
