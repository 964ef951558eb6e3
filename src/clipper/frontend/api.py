"""The query frontend's endpoints: a request finds its application, its answer finds the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from clipper.catalog import AppView
from clipper.errors import ClipperError, MethodNotAllowed, NotFound
from clipper.frontend.codec import PredictDecoder, encode_prediction, encode_predictions
from clipper.frontend.http import Exchange
from clipper.metrics import Metrics
from clipper.processor import Prediction, Processor
from clipper.rpc.wire import InputType

Page = Callable[[Exchange], None]

ENDPOINTS: Final = "POST /<application>/predict, GET /metrics, GET /health/live, GET /health/ready"


class Api:
    """Handles every request of the query frontend's port."""

    def __init__(self, processor: Processor, metrics: Metrics, pages: dict[bytes, Page]) -> None:
        """``pages`` are the GET endpoints, by path."""
        self._processor = processor
        self._metrics = metrics
        self._pages = pages
        self._decoders = {kind.value: PredictDecoder(kind.value) for kind in InputType}
        self._predict_routes: dict[bytes, tuple[AppView, PredictDecoder]] = {}

    def follow_catalog(self) -> None:
        """Makes the routes anew; to be called after the processor took up another registry."""
        routes = {}
        for name, view in self._processor.catalog.apps.items():
            decoder = self._decoders[view.application.input_type]
            routes[b"/%b/predict" % name.encode()] = routes[b"/%b/predict/" % name.encode()] = (view, decoder)
        self._predict_routes = routes

    def handle(self, exchange: Exchange) -> None:
        """Answers, now or later. No exception leaves but those of bugs."""
        try:
            route = self._predict_routes.get(exchange.path)
            if route is None:
                self._find(exchange)
            else:
                self._predict(exchange, *route)
        except MethodNotAllowed as error:
            allowed = b"GET, HEAD" if exchange.path in self._pages else b"POST"
            exchange.reply(error.status, error.to_json(), headers=b"Allow: %b\r\n" % allowed)
        except ClipperError as error:
            exchange.reply(error.status, error.to_json())

    def _predict(self, exchange: Exchange, app: AppView, decoder: PredictDecoder) -> None:
        if exchange.method != b"POST":
            raise MethodNotAllowed(f"{_text(exchange.path)} takes POST, not {_text(exchange.method)}")
        try:
            request = decoder.decode(exchange.body)
            models = None if request.version is None else self._processor.catalog.versions_of(app, request.version)
        except ClipperError:
            self._metrics.app(app.name).errors += 1
            raise
        if not request.is_batch:
            self._processor.predict(app, request.inputs[0], self._single(exchange), exchange.arrived, models)
        elif request.inputs:
            answers = BatchAnswer(len(request.inputs), lambda body: exchange.reply(200, body))
            for position, data in enumerate(request.inputs):
                self._processor.predict(app, data, answers.place(position), exchange.arrived, models)
        else:
            exchange.reply(200, encode_predictions([]))

    def _single(self, exchange: Exchange) -> Callable[[Prediction], None]:
        return lambda prediction: exchange.reply(200, encode_prediction(prediction))

    def _find(self, exchange: Exchange) -> None:
        path = unquote_to_bytes(exchange.path)
        page = self._pages.get(path.rstrip(b"/") or b"/")
        route = self._predict_routes.get(path)
        if route is not None:
            self._predict(exchange, *route)
        elif page is None:
            raise NotFound(self._not_found(path))
        elif exchange.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed(f"{_text(path)} takes GET, not {_text(exchange.method)}")
        else:
            page(exchange)

    def _not_found(self, path: bytes) -> str:
        name, _, verb = path[1:].partition(b"/")
        if name and verb in (b"predict", b"predict/"):
            known = ", ".join(sorted(self._processor.catalog.apps)[:10]) or "none"
            return f"application '{_text(name)}' does not exist: register it first. Registered are: {known}"
        return f"no endpoint {_text(path)}: there are {ENDPOINTS}"


class BatchAnswer:
    """Collects the answers of an ``input_batch`` and sends them together, in the order of its queries."""

    __slots__ = ("_missing", "_predictions", "_send")

    def __init__(self, size: int, send: Callable[[bytes], None]) -> None:
        self._predictions: list[Prediction | None] = [None] * size
        self._missing = size
        self._send = send

    def place(self, position: int) -> Callable[[Prediction], None]:
        return lambda prediction: self._take(position, prediction)

    def _take(self, position: int, prediction: Prediction) -> None:
        self._predictions[position] = prediction
        self._missing -= 1
        if self._missing == 0:
            self._send(encode_predictions([each for each in self._predictions if each is not None]))


def _text(raw: bytes) -> str:
    return raw[:200].decode(errors="replace")
