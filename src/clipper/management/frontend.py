"""The management frontend: the process behind ``/admin``, 1338 by default.

Run by ``python -m clipper.management.frontend --store STORE``. It keeps nothing: whatever it has acknowledged is in
the store, and query frontends learn of it from there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from clipper.config import Config, load_config
from clipper.errors import ClipperError, ConfigError
from clipper.log_format import log_to_stderr
from clipper.management import edge
from clipper.management.connection import Connection
from clipper.management.registrar import Registrar
from clipper.management.request_log import RequestLog, WithRequestId
from clipper.management.routes import ERRORS, Archive, Desk, router
from clipper.management.routes_feedback import router as feedback_router
from clipper.management.routes_metrics import router as metrics_router
from clipper.management.routes_selection import router as selection_router
from clipper.management.turns import Turns
from clipper.store.base import Store
from clipper.store.journal import Journal
from clipper.store.opening import open_journal, open_store, shown_store

logger: Final = logging.getLogger("clipper.management.frontend")  # also as __main__


def create_app(
    store: Store, journal: Journal, *, body_limit: int = 33_554_432, body_timeout: float = 300.0
) -> FastAPI:
    """The ASGI application on ``store`` and ``journal``, of which it is the only user.

    ``body_limit`` is the most bytes of a request's body, ``body_timeout`` the seconds that it may take to arrive.
    """
    app = FastAPI(
        title="Clipper management",
        description="Registers applications and models, links them, and tells what was learned of feedback.",
        redirect_slashes=False,
    )
    app.state.registrar = Registrar(store)
    app.state.archive = Turns(journal)
    for each in (router, selection_router, feedback_router, metrics_router):
        app.include_router(each)
    app.get("/health/live", tags=["health"])(live)
    app.get("/health/ready", tags=["health"], responses=ERRORS)(ready)
    app.add_exception_handler(ClipperError, edge.answer_clipper_error)
    app.add_exception_handler(HTTPException, edge.answer_http_exception)
    app.add_exception_handler(RequestValidationError, edge.answer_validation_error)
    app.add_middleware(edge.Edge, body_limit=body_limit, body_timeout=body_timeout)
    app.add_middleware(RequestLog)
    return app


async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


def ready(registrar: Desk, archive: Archive) -> dict[str, bool]:
    """Store and journal answer too; 503 otherwise."""
    registrar.read()
    with archive.take() as journal:
        journal.checkpoint()
    return {"ready": True}


def main() -> None:
    """Serves until SIGTERM or SIGINT; requests under way are answered first. Exits 1 if it can't start."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _exit)
    log_to_stderr()
    try:
        config = load_config(sys.argv[1:], os.environ)
        log_to_stderr(config.log_level, config.log_format, {"frontend": "management"}).addFilter(WithRequestId())
        serve(config)
    except ClipperError as error:
        logger.critical("can't start: %s", error.cause)
        sys.exit(1)


def serve(config: Config) -> None:
    """Raises ConfigError or StoreError if the port can't be had or the store not opened."""
    if not config.store:
        raise ConfigError("no store is given: name a file or a Redis with --store or CLIPPER_STORE")
    with contextlib.ExitStack() as opened:
        store = opened.enter_context(contextlib.closing(open_store(config.store)))
        journal = opened.enter_context(contextlib.closing(open_journal(config.store)))
        listener = opened.enter_context(bind(config.host, config.management_port))
        logger.info(
            "listening on http://%s:%d with the store %s", *listener.getsockname()[:2], shown_store(config.store)
        )
        app = create_app(store, journal, body_limit=config.body_limit, body_timeout=config.content_timeout)
        uvicorn.Server(_settings(app, config)).run(sockets=[listener])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 lets the system choose. Raises ConfigError if the address can't be had."""
    if not 0 <= port <= 65_535:
        raise ConfigError(f"can't listen on {host}:{port}: ports go from 0 to 65535, correct --management-port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {host}:{port} ({error}): free the port, or choose another with --management-port"
        ) from error


def _settings(app: FastAPI, config: Config) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=config.request_timeout,  # type: ignore[arg-type]  # goes to call_later as it is
        timeout_graceful_shutdown=max(1, round(config.drain_timeout)),
    )


def _exit(signum: int, frame: FrameType | None) -> NoReturn:
    """uvicorn drains on a signal, and then raises it again for whoever had it before: us."""
    sys.exit(0)


if __name__ == "__main__":
    main()
