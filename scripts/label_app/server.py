"""The server: MONAI Label's endpoints, with this app's own where a request brings files, names or work.

Given to MONAI Label as ``--uvicorn_app server:app``. What is left out of MONAI Label's own server: uploading and
deleting weights (calibration belongs to them: they are exchanged by training), starting all trainings at once, the
proxy and the viewer of DICOMweb servers unless the datastore is one, and reloading the app.
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

import requests
from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from lib.authentication import repair_token_check
from lib.endpoints import datastore as own_datastore
from lib.endpoints import infer as own_infer
from lib.endpoints import session as own_session
from lib.endpoints import tasks as own_tasks
from lib.errors import RequestError, StartError, WorkerError
from lib.limits import OwnPages, UploadLimit
from lib.served_models import find_models, left_out
from lib.server_lifetime import end_background_work, passing_files
from lib.settings import AppSettings
from monailabel.config import settings
from monailabel.endpoints import (
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
    """Return the app's settings, or end the process with what is wrong with them or with the models.

    Bundles that nobody named and that are not complete are said, and the others served.
    """
    try:
        found = AppSettings.of_conf(settings.MONAI_LABEL_APP_CONF)
        find_models(found.bundles, found.models)
    except StartError as error:
        print(f"\nError: {error}", file=sys.stderr)
        sys.exit(2)
    if found.models is None:
        for said in left_out(found.bundles):
            print(said, file=sys.stderr, flush=True)
    return found


def routes_of(router: APIRouter, *methods: str) -> APIRouter:
    """Return those of MONAI Label's endpoints that have only some methods, as ones that run in threads.

    MONAI Label declares its endpoints as coroutines that never wait for anything: each would stop all others.
    """
    chosen = APIRouter()
    for route in router.routes:
        assert isinstance(route, APIRoute)
        if route.methods <= set(methods):
            chosen.add_api_route(
                route.path,
                _plain(route.endpoint),
                methods=sorted(route.methods),
                tags=router.tags,
                summary=route.summary,
                include_in_schema=route.include_in_schema,
            )
    return chosen


def _plain(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(endpoint(*args, **kwargs))

    run.__name__ = endpoint.__name__
    run.__signature__ = inspect.signature(endpoint)  # type: ignore[attr-defined]
    return run


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Start the app with its workers, and end them with all that works for it."""
    with passing_files():
        instance = app_instance()
        try:
            await asyncio.get_running_loop().run_in_executor(None, instance.start)
        except StartError as error:
            print(f"\nError: {error}", file=sys.stderr, flush=True)
            raise
        instance.server_mode(True)
        instance.on_init_complete()
        yield
        end_background_work()
        instance.close()


def make_app() -> FastAPI:
    """Put the server together."""
    app_settings = read_settings()
    repair_token_check()
    made = FastAPI(title="monai-explainable-bundles", lifespan=lifespan, docs_url="/", redoc_url=None)
    if settings.MONAI_LABEL_AUTH_ENABLE:
        made.include_router(login.router)
    # of two routes for one path the first counts
    for own in (own_infer, own_session, own_datastore, own_tasks):
        made.include_router(own.router)
    # one after another, as the datastore needs it
    made.include_router(datastore.router)
    for part in (info, model, logs):
        made.include_router(routes_of(part.router, "GET", "HEAD"))
    for part in (batch_infer, train, scoring):
        made.include_router(routes_of(part.router, "GET", "DELETE"))
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

    @made.exception_handler(requests.RequestException)
    def not_answered(_: Request, error: requests.RequestException) -> JSONResponse:
        """Tell what another server, such as the realm that gives tokens, did with a request."""
        found = error.response
        if found is not None and found.status_code in (400, 401, 403):
            return JSONResponse({"detail": "the realm refuses this name with this password"}, 401)
        return JSONResponse({"detail": f"a server that is needed does not answer: {error}"}, 503)

    return made


app = make_app()
