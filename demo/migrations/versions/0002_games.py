"""games and who hosts them"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "games",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("host_id", sa.Integer, sa.ForeignKey("players.id"), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("games")
