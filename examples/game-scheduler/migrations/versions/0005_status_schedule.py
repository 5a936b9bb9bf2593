"""the status of sessions and its schedule"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("game_sessions", sa.Column("status", sa.String(20), nullable=False, server_default="scheduled"))
    op.create_check_constraint(
        "known_status", "game_sessions", "status IN ('scheduled', 'in_progress', 'completed', 'cancelled')"
    )
    op.create_table(
        "status_schedule",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "session_id", sa.BigInteger, sa.ForeignKey("game_sessions.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("session_id", "status"),
    )
    op.create_index(
        "ix_status_schedule_due", "status_schedule", ["due_at"], postgresql_where=sa.text("applied_at IS NULL")
    )
    # Sessions that exist: what is over is over, for the rest the daemon does what is due.
    op.execute("UPDATE game_sessions SET status = 'completed' WHERE ends_at <= now()")
    op.execute(
        "INSERT INTO status_schedule (session_id, status, due_at)"
        " SELECT id, 'in_progress', starts_at FROM game_sessions WHERE status = 'scheduled'"
        " UNION ALL SELECT id, 'completed', ends_at FROM game_sessions WHERE status = 'scheduled'"
    )


def downgrade() -> None:
    op.drop_table("status_schedule")
    op.drop_constraint("known_status", "game_sessions", type_="check")
    op.drop_column("game_sessions", "status")
