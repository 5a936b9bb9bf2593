"""guilds choose when they are reminded"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "guild_configurations",
        sa.Column("reminder_before", sa.Interval, nullable=False, server_default=sa.text("interval '1 hour'")),
    )
    # Lists are asked for by time.
    op.create_index("ix_game_sessions_starts_at", "game_sessions", ["starts_at"])


def downgrade() -> None:
    op.drop_index("ix_game_sessions_starts_at", "game_sessions")
    op.drop_column("guild_configurations", "reminder_before")
