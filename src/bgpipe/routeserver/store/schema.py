"""The tables. A change here needs a migration in `migrations/versions`; a test compares the two."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(naming_convention={"uq": "uq_%(table_name)s", "pk": "pk_%(table_name)s"})

REVISION: Final = "0004"
"""Of the newest migration, after which the tables are these."""

revisions = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""The table in which alembic keeps which migrations were made."""

peers = Table(
    "peers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("ip", Text, nullable=False),
    Column("asn", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_session_at", Float),
    Column("max_prefix", Integer),
    Column("md5_password", Text, nullable=False),
    Column("subscription", JSON, nullable=False),
    UniqueConstraint("ip", "asn"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

lists = Table(
    "lists",
    metadata,
    Column("name", Text, primary_key=True),
    Column("settings", JSON, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("name", Text, primary_key=True),
    Column("settings", JSON, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("who", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("changes", JSON, nullable=False),
)
