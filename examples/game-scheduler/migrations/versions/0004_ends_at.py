"""sessions end at a time instead of after minutes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("game_sessions", sa.Column("ends_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE game_sessions SET ends_at = starts_at + make_interval(mins => duration_minutes)")
    # Nothing kept a duration from being zero or less.
    op.execute("UPDATE game_sessions SET ends_at = starts_at + interval '2 hours' WHERE ends_at <= starts_at")
    op.alter_column("game_sessions", "ends_at", nullable=False)
    op.create_check_constraint("ends_after_start", "game_sessions", "ends_at > starts_at")
    op.drop_column("game_sessions", "duration_minutes")


def downgrade() -> None:
    op.add_column("game_sessions", sa.Column("duration_minutes", sa.Integer))
    op.execute(
        "UPDATE game_sessions SET duration_minutes = ceil(extract(epoch FROM ends_at - starts_at) / 60)::integer"
    )
    op.alter_column("game_sessions", "duration_minutes", nullable=False)
    op.drop_constraint("ends_after_start", "game_sessions", type_="check")
    op.drop_column("game_sessions", "ends_at")
