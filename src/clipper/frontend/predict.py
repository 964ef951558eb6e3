"""The predict endpoint of an application: its body becomes queries, their answers the response."""

from __future__ import annotations

from collections import deque
from typing import Final

from clipper.catalog import AppView
from clipper.errors import BadRequest, ClipperError, JsonError, MethodNotAllowed, UnsupportedMediaType
from clipper.feedback import check_user
from clipper.frontend.binary import Media, media_of, read_binary
from clipper.frontend.codec import PredictDecoder, encode_prediction, encode_predictions
from clipper.frontend.exchange import Exchange, Pending
from clipper.frontend.request import PredictRequest
from clipper.frontend.slices import SlicedReader
from clipper.frontend.turns import Steps, Turns
from clipper.metrics import Metrics
from clipper.prediction import Prediction
from clipper.processor import Processor
from clipper.rpc.wire import InputType
from clipper.types import ModelVersion

LONG_BODY: Final = 65_536
LONG_TEXT: Final = 262_144
LONG_BATCH: Final = 8_192
"""Bytes beyond which a body is read in steps: a string is read at once sooner than numbers are, and a batch makes
more work than either, for its inputs may be tiny."""
LOOK_FOR_BATCH: Final = 256
"""A batch as JSON is known by its first bytes; where they hide it, up to ``LONG_BODY`` is read at once."""
BATCH_STEP: Final = 32
"""Queries of a batch that are asked at once."""


class PredictEndpoint:
    """Answers ``POST /<application>/predict``."""

    __slots__ = ("_app", "_decoder", "_metrics", "_processor", "_turns")

    def __init__(
        self, app: AppView, decoder: PredictDecoder, processor: Processor, metrics: Metrics, turns: Turns
    ) -> None:
        self._app = app
        self._decoder = decoder
        self._processor = processor
        self._metrics = metrics
        self._turns = turns

    def answer(self, exchange: Exchange) -> None:
        """Raises MethodNotAllowed; other errors are counted and answered, now or later."""
        if exchange.method != b"POST":
            raise MethodNotAllowed(f"/{self._app.name}/predict takes POST, not {exchange.method.decode('latin-1')}")
        # Most requests say this in this spelling; to look for others takes longer than to decode a short body.
        is_json = exchange.headers.get(b"Content-Type") == b"application/json"
        try:
            if is_json and not exchange.query_string and len(exchange.body) <= LONG_BATCH:
                self._ask(exchange, self._decoder.decode(exchange.body))
            else:
                self._answer_unusual(exchange, is_json)
        except ClipperError as error:
            self._refuse(exchange, error)

    def _answer_unusual(self, exchange: Exchange, is_json: bool) -> None:
        media = None if is_json else media_of(exchange.header(b"content-type") or b"")
        body = exchange.body
        if exchange.query_string or not is_json:
            check_head(exchange, media)
        if len(body) > LONG_BATCH and self._is_long(body, media):
            self._turns.add(exchange, self._answer_in_steps(exchange, media))
        elif media is not None:
            deque(self._answer_in_steps(exchange, media), maxlen=0)
        else:
            self._ask(exchange, self._decoder.decode(body))

    def _is_long(self, body: bytes | bytearray, media: Media | None) -> bool:
        """Of a body over ``LONG_BATCH``: whether it is read in steps."""
        is_batch = body.find(b"input_batch", 0, LOOK_FOR_BATCH) >= 0 if media is None else media.is_batch
        is_text = self._decoder.input_type in (InputType.BYTES, InputType.STRINGS)
        return is_batch or len(body) > (LONG_TEXT if is_text else LONG_BODY)

    def _answer_in_steps(self, exchange: Exchange, media: Media | None) -> Steps[None]:
        try:
            if media is None:
                request = yield from SlicedReader(self._decoder, exchange.body).read()
            else:
                kind = self._decoder.input_type
                request = yield from read_binary(media, kind, exchange.body, exchange.query_string)
            exchange.body = b""  # it may be large, and the inputs are others
            self._ask(exchange, request)
        except ClipperError as error:
            self._refuse(exchange, error)

    def _ask(self, exchange: Exchange, request: PredictRequest) -> None:
        app, version = self._app, request.version
        models = None if version is None else self._processor.catalog.versions_of(app, version)
        user = "" if request.user_id is None else check_user(request.user_id)
        if request.is_batch:
            self._ask_batch(exchange, request.inputs, models, user)
            return
        data, arrived = request.inputs[0], exchange.arrived
        name = exchange.request_id
        exchange.pending = self._processor.predict(app, data, Reply(exchange), arrived, models, user, name)

    def _ask_batch(
        self, exchange: Exchange, inputs: list[bytes], models: tuple[ModelVersion, ...] | None, user: str
    ) -> None:
        if not inputs:
            exchange.reply(200, encode_predictions([]))
            return
        answer = exchange.pending = BatchAnswer(exchange, len(inputs))

        def ask() -> Steps[None]:
            for position, data in enumerate(inputs):
                if position and position % BATCH_STEP == 0:
                    yield
                place = Place(answer, position)
                arrived, name = exchange.arrived, exchange.request_id
                query = self._processor.predict(self._app, data, place, arrived, models, user, name)
                answer.queries.append(query)

        if len(inputs) > BATCH_STEP:
            self._turns.add(exchange, ask())
        else:
            deque(ask(), maxlen=0)

    def _refuse(self, exchange: Exchange, error: ClipperError) -> None:
        self._metrics.app(self._app.name).errors += 1
        if isinstance(error, JsonError):  # the first to notice a compressed body, which is no JSON
            error = _refusal_of_coding(exchange) or error
        exchange.reply(error.status, error.to_json())


class Reply:
    """The answer to the one query of a request. Not a closure: a class like this one is compiled."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __call__(self, prediction: Prediction) -> None:
        self.exchange.reply_json(encode_prediction(prediction))


class BatchAnswer:
    """Collects the answers of a batch and sends them together, in the order of its queries.

    ``queries`` are those that were asked, to be abandoned with the exchange.
    """

    __slots__ = ("_answers", "_exchange", "_missing", "queries")

    def __init__(self, exchange: Exchange, size: int) -> None:
        self.queries: list[Pending] = []
        self._exchange = exchange
        self._answers = [b""] * size
        self._missing = size

    def abandon(self) -> None:
        for query in self.queries:
            query.abandon()

    def take(self, position: int, prediction: Prediction) -> None:
        self._answers[position] = encode_prediction(prediction)
        self._missing -= 1
        if self._missing == 0:
            self._exchange.reply(200, encode_predictions(self._answers))


class Place:
    """Where one answer of a batch goes."""

    __slots__ = ("batch", "position")

    def __init__(self, batch: BatchAnswer, position: int) -> None:
        self.batch = batch
        self.position = position

    def __call__(self, prediction: Prediction) -> None:
        self.batch.take(self.position, prediction)


def check_head(exchange: Exchange, media: Media | None) -> None:
    """Raises UnsupportedMediaType or BadRequest for what would be misread, or read past."""
    if media is None and exchange.query_string:
        raise BadRequest(
            "the query string is for binary bodies: version and user_id go into the JSON, as other fields do"
        )
    refusal = _refusal_of_coding(exchange)
    if refusal is not None:
        raise refusal


def _refusal_of_coding(exchange: Exchange) -> UnsupportedMediaType | None:
    coding = exchange.header(b"content-encoding")
    if coding is None or coding.lower() in (b"", b"identity"):
        return None
    return UnsupportedMediaType(
        f"the Content-Encoding is {coding[:200].decode('latin-1')}: bodies are taken uncompressed, without it"
    )
