"""The server: MONAI Label's endpoints, with this app's own where a request brings files, names or work.

Given to MONAI Label as ``--uvicorn_app server:app``. What is left out of MONAI Label's own server: uploading and
deleting weights (calibration belongs to them: they are exchanged by training), the proxy and the viewer of DICOMweb
servers unless the datastore is one, and reloading the app.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

# MONAI Label would load this app's modules a second time, and errors of one would not be those of the other
os.environ["MONAI_LABEL_RELOAD_APP_LIB"] = "false"

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from lib.authentication import repair_token_check
from lib.endpoints import datastore as own_datastore
from lib.endpoints import infer as own_infer
from lib.endpoints import session as own_session
from lib.errors import RequestError, StartError, WorkerError
from lib.limits import OwnPages, UploadLimit
from lib.served_models import find_models
from lib.settings import AppSettings
from monailabel.config import settings
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    info,
    login,
    logs,
    model,
    ohif,
    proxy,
    scoring,
    train,
)
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance

__all__ = ["app"]


def read_settings() -> AppSettings:
    """Return the app's settings, or end the process with what is wrong with them or with the models."""
    try:
        found = AppSettings.of_conf(settings.MONAI_LABEL_APP_CONF)
        find_models(found.bundles, found.models)
    except StartError as error:
        print(f"\nError: {error}", file=sys.stderr)
        sys.exit(2)
    return found


def in_threads(router: APIRouter) -> APIRouter:
    """Return a router whose endpoints do not keep the server waiting while they work.

    MONAI Label declares them as coroutines that never wait for anything: each would stop all others.
    """
    threaded = APIRouter()
    for route in router.routes:
        assert isinstance(route, APIRoute)
        threaded.add_api_route(
            route.path,
            _plain(route.endpoint),
            methods=list(route.methods),
            tags=router.tags,
            summary=route.summary,
            include_in_schema=route.include_in_schema,
        )
    return threaded


def _plain(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(endpoint(*args, **kwargs))

    run.__name__ = endpoint.__name__
    run.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    return run


def only_reading(router: APIRouter) -> APIRouter:
    """Return a router without the endpoints that change something."""
    reading = APIRouter()
    for route in router.routes:
        assert isinstance(route, APIRoute)
        if route.methods <= {"GET", "HEAD"}:
            reading.add_api_route(
                route.path, route.endpoint, methods=list(route.methods), tags=router.tags, summary=route.summary
            )
    return reading


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start the app with its workers, and end them."""
    instance = app_instance()
    try:
        await asyncio.get_running_loop().run_in_executor(None, instance.start)
    except StartError as error:
        print(f"\nError: {error}", file=sys.stderr, flush=True)
        raise
    instance.server_mode(True)
    instance.on_init_complete()
    yield
    instance.close()


def make_app() -> FastAPI:
    """Put the server together."""
    app_settings = read_settings()
    repair_token_check()
    made = FastAPI(title="monai-explainable-bundles", lifespan=lifespan, docs_url="/", redoc_url=None)
    if settings.MONAI_LABEL_AUTH_ENABLE:
        made.include_router(login.router)
    # of two routes for one path the first counts
    for own in (own_infer, own_session, own_datastore):
        made.include_router(own.router)
    made.include_router(datastore.router)
    made.include_router(only_reading(model.router))
    for part in (info, batch_infer, train, activelearning, scoring, logs):
        made.include_router(in_threads(part.router))
    if settings.MONAI_LABEL_STUDIES.startswith(("http://", "https://")):
        made.include_router(ohif.router)
        made.include_router(proxy.router)
    origins = [str(origin).rstrip("/") for origin in settings.MONAI_LABEL_CORS_ORIGINS]
    made.add_middleware(UploadLimit, limit=app_settings.max_upload)
    if origins:
        made.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    made.add_middleware(OwnPages, origins=origins, hosts=app_settings.hosts)

    @made.exception_handler(RequestError)
    def refused(_: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    @made.exception_handler(WorkerError)
    def failed(_: Request, error: WorkerError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    @made.exception_handler(MONAILabelException)
    def unknown(_: Request, error: MONAILabelException) -> JSONResponse:
        return JSONResponse({"detail": error.msg}, 400)

    return made


app = make_app()
