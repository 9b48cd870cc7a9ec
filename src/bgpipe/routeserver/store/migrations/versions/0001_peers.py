"""Peers and their subscriptions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "peers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("ip", sa.Text, nullable=False),
        sa.Column("asn", sa.BigInteger, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("last_session_at", sa.Float),
        sa.Column("max_prefix", sa.Integer),
        sa.Column("md5_password", sa.Text, nullable=False),
        sa.Column("subscription", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_peers"),
        sa.UniqueConstraint("ip", "asn", name="uq_peers"),
    )
