"""users and the configuration of guilds and channels"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("discord_id", sa.BigInteger, nullable=False, unique=True),
        sa.Column("display_name", sa.String(80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "guild_configurations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("discord_id", sa.BigInteger, nullable=False, unique=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False, server_default="UTC"),
    )
    op.create_table(
        "channel_configurations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "guild_id",
            sa.BigInteger,
            sa.ForeignKey("guild_configurations.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("discord_id", sa.BigInteger, nullable=False, unique=True),
    )


def downgrade() -> None:
    op.drop_table("channel_configurations")
    op.drop_table("guild_configurations")
    op.drop_table("users")
