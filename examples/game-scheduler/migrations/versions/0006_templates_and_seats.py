"""templates and the number of seats"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "game_templates",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "guild_id",
            sa.BigInteger,
            sa.ForeignKey("guild_configurations.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("game", sa.String(100), nullable=False),
        sa.Column("max_players", sa.SmallInteger, nullable=False),
        sa.Column("duration", sa.Interval, nullable=False),
        sa.UniqueConstraint("guild_id", "name"),
    )
    op.add_column("game_sessions", sa.Column("template_id", sa.BigInteger))
    op.create_foreign_key(
        "game_sessions_template_id_fkey",
        "game_sessions",
        "game_templates",
        ["template_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column("game_sessions", sa.Column("max_players", sa.SmallInteger))
    # Nobody loses a seat: a session that exists gets five, or as many as have joined it.
    op.execute(
        "UPDATE game_sessions SET max_players ="
        " greatest(5, (SELECT count(*) FROM participants WHERE session_id = game_sessions.id))"
    )
    op.alter_column("game_sessions", "max_players", nullable=False)
    op.create_check_constraint("max_players_positive", "game_sessions", "max_players > 0")


def downgrade() -> None:
    op.drop_constraint("max_players_positive", "game_sessions", type_="check")
    op.drop_column("game_sessions", "max_players")
    op.drop_column("game_sessions", "template_id")
    op.drop_table("game_templates")
