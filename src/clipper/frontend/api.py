"""The query frontend's endpoints: a request finds its application, its answer finds the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from clipper.errors import ClipperError, MethodNotAllowed, NotFound
from clipper.frontend.codec import PredictDecoder
from clipper.frontend.http import Exchange
from clipper.frontend.predict import PredictEndpoint
from clipper.frontend.turns import Turns
from clipper.frontend.update import UpdateEndpoint
from clipper.metrics import Metrics
from clipper.processor import Processor
from clipper.rpc.wire import InputType
from clipper.updater import Updater

Page = Callable[[Exchange], None]

ENDPOINTS: Final = (
    "POST /<application>/predict, POST /<application>/update, GET /metrics, GET /health/live, GET /health/ready"
)


class Api:
    """Handles every request of the query frontend's port."""

    def __init__(self, processor: Processor, metrics: Metrics, pages: dict[bytes, Page], updater: Updater) -> None:
        """``pages`` are the GET endpoints, by path."""
        self._processor = processor
        self._updater = updater
        self._metrics = metrics
        self._pages = pages
        self._turns = Turns()
        self._decoders = {kind.value: PredictDecoder(kind) for kind in InputType}
        self._routes: dict[bytes, Page] = {}

    def follow_catalog(self) -> None:
        """Makes the routes anew; to be called after the processor took up another registry."""
        routes: dict[bytes, Page] = {}
        for name, view in self._processor.catalog.apps.items():
            decoder = self._decoders[view.application.input_type]
            endpoint = PredictEndpoint(view, decoder, self._processor, self._metrics, self._turns)
            update = UpdateEndpoint(view, decoder, self._updater, self._metrics)
            routes[b"/%b/predict" % name.encode()] = routes[b"/%b/predict/" % name.encode()] = endpoint.answer
            routes[b"/%b/update" % name.encode()] = routes[b"/%b/update/" % name.encode()] = update.answer
        self._routes = routes

    def handle(self, exchange: Exchange) -> None:
        """Answers, now or later. No exception leaves but those of bugs."""
        try:
            page = self._routes.get(exchange.path) or self._find(exchange.path, exchange.method)
            page(exchange)
        except MethodNotAllowed as error:
            allowed = b"GET, HEAD" if exchange.path in self._pages else b"POST"
            exchange.reply(error.status, error.to_json(), headers=b"Allow: %b\r\n" % allowed)
        except ClipperError as error:
            exchange.reply(error.status, error.to_json())

    def _find(self, raw_path: bytes, method: bytes) -> Page:
        path = unquote_to_bytes(raw_path)
        route = self._routes.get(path)
        if route is not None:
            return route
        page = self._pages.get(path.rstrip(b"/") or b"/")
        if page is None:
            raise NotFound(self._not_found(path))
        if method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed(f"{_text(path)} takes GET, not {_text(method)}")
        return page

    def _not_found(self, path: bytes) -> str:
        name, _, verb = path[1:].partition(b"/")
        if name and verb.removesuffix(b"/") in (b"predict", b"update"):
            known = ", ".join(sorted(self._processor.catalog.apps)[:10]) or "none"
            return f"application '{_text(name)}' does not exist: register it first. Registered are: {known}"
        return f"no endpoint {_text(path)}: there are {ENDPOINTS}"


def _text(raw: bytes) -> str:
    return raw[:200].decode(errors="replace")
