"""An application, a model and their link, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException


def create(
    clipper_conn: ClipperConnection,
    name: str,
    version: str,
    input_type: str,
    default_output: str,
    slo_micros: int,
    deploy: Callable[[], None],
) -> None:
    """Registers application ``name``, calls ``deploy`` (which deploys model ``name``) and links the two.

    If a step fails, what the steps before it made is removed again.
    """
    with ExitStack() as undo:
        clipper_conn.register_application(name, input_type, default_output, slo_micros)
        undo.callback(_attempt, clipper_conn, lambda: clipper_conn.unregister_application(name))
        before = _current_version(clipper_conn, name)
        deploy()
        undo.callback(_attempt, clipper_conn, lambda: clipper_conn.stop_versioned_models({name: [version]}))
        if before is not None:
            undo.callback(_attempt, clipper_conn, lambda: clipper_conn.set_model_version(name, before))
        clipper_conn.link_model_to_app(app_name=name, model_name=name)
        undo.pop_all()


def _current_version(clipper_conn: ClipperConnection, name: str) -> str | None:
    for model in clipper_conn.get_all_models(verbose=True):
        if model["model_name"] == name and model["is_current_version"]:
            return str(model["model_version"])
    return None


def _attempt(clipper_conn: ClipperConnection, step: Callable[[], None]) -> None:
    """An undo that fails must not hide why there was something to undo."""
    try:
        step()
    except ClipperException as error:
        clipper_conn.logger.warning("Cleaning up after a failed deploy: %s", error)
