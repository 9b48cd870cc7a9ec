"""Run by alembic, on the connection that the store gives it."""

from alembic import context

from bgpipe.routeserver.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
