"""The wiring of the API: the one place where its parts meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from service.api import (
    batch_size_studies,
    catalog,
    document,
    failures,
    health,
    hosts,
    memory_estimates,
    metrics,
    reports,
    traffic,
    tuning_jobs,
    workers,
)
from service.api.dependencies import Parts
from service.api.feeds import Feeds
from service.api.in_flight import InFlight
from service.api.security import get_caller
from service.api.watch import Watch
from service.estimates import Estimates
from service.pages import routes as pages
from service.settings import Settings
from service.store.changes import Changes
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.keys import Keys
from service.store.migrate import migrate
from workers.tracing_child import TracingChild


def create_app(settings: Settings) -> FastAPI:
    """Wire the API; the database is opened and migrated when it starts.

    Args:
        settings: How it is deployed.

    Returns:
        The application. Its state carries the `Parts` while it runs.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(
            settings.resolved_database_url, busy_timeout_seconds=settings.busy_timeout_seconds
        )
        jobs = Jobs(database)
        watch = Watch(jobs.revisions, interval_seconds=settings.watch_interval_seconds)
        feeds = Feeds(
            Changes(database).since,
            interval_seconds=settings.watch_interval_seconds,
            max_readers=settings.max_event_streams,
        )
        revision = migrate(database, lock_file=settings.data_dir / "migrate.lock")
        child = TracingChild(
            settings.places_of("estimates"),
            wait_seconds=settings.estimate_wait_seconds,
            limit_seconds=settings.estimate_timeout_seconds,
            idle_seconds=settings.estimate_idle_seconds,
        )
        app.state.parts = Parts(
            settings=settings,
            jobs=jobs,
            watch=watch,
            feeds=feeds,
            schema_revision=revision,
            estimates=Estimates(settings, child),
            keys=Keys(database),
            in_flight=InFlight(),
        )
        yield
        await run_in_threadpool(child.close)
        watch.close()
        feeds.close()
        await feeds.wait_closed()
        database.close()

    app = FastAPI(
        title=document.TITLE,
        version=document.API_VERSION,
        description=document.DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[
            {"name": "tuning jobs", "description": "One request in, one recommendation out."},
            {"name": "batch-size studies", "description": "What batch size and rate change."},
            {"name": "memory estimates", "description": "What fits a card that is not here."},
            {"name": "service", "description": "What this service has, and how it is."},
        ],
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(get_caller)],
        generate_unique_id_function=document.operation_id,
    )
    for part in (
        tuning_jobs,
        batch_size_studies,
        reports,
        memory_estimates,
        workers,
        catalog,
        health,
        metrics,
        pages,
    ):
        app.include_router(part.router)
    failures.install(app)
    document.install(app, settings)
    hosts.install(app, settings)
    traffic.install(app)
    return app
