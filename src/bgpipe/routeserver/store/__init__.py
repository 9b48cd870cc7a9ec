"""Where peers are kept: SQLite in a file, or any database that SQLAlchemy has an asynchronous driver for."""
