"""Puts the service together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import about, errors, health, migrations, resources, root
from app.database import Base, Database
from app.schema_upgrade import upgrade
from app.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; the database is opened when it starts and closed when it stops."""
    settings = settings or Settings.from_environment()
    logging.basicConfig(level=settings.log_level)
    routers = resources.load_routers()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings)
        upgrade(database.writer, Base.metadata, migrations.load_steps())
        app.state.database = database
        yield
        database.close()

    app = FastAPI(title=about.NAME, lifespan=lifespan)
    errors.register(app)
    app.include_router(health.router)
    for router in routers:
        app.include_router(router)
    # The first route that fits answers: a resource may take `/` for itself.
    root.install(app)
    return app
