"""The update endpoint of an application: feedback on what it answered."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from clipper.catalog import AppView
from clipper.errors import ClipperError, JsonError, MethodNotAllowed, PayloadTooLarge
from clipper.feedback import FeedbackAnswer, FeedbackRequest, check_user
from clipper.frontend.bodies import NO_VALUE, FeedbackBody
from clipper.frontend.codec import UNREADABLE, PredictDecoder
from clipper.frontend.exchange import Exchange
from clipper.frontend.predict import check_head
from clipper.metrics import Metrics
from clipper.updater import Updater

UPDATE_SCHEMA: Final = (
    '{"label": any JSON value, or "loss": number from 0 to 1 or {model: number}, '
    '"query_id": int or "input": as in predict, "user_id"?: string | int}'
)
LONGEST_BODY: Final = 1 << 20
"""Bytes: it is read in one go, and more would hold up other queries. Longer inputs are not cached, either."""


_decode: Final = msgspec.json.Decoder(FeedbackBody).decode


class UpdateEndpoint:
    """Answers ``POST /<application>/update``."""

    __slots__ = ("_app", "_decoder", "_metrics", "_updater")

    def __init__(self, app: AppView, decoder: PredictDecoder, updater: Updater, metrics: Metrics) -> None:
        self._app = app
        self._decoder = decoder
        self._updater = updater
        self._metrics = metrics

    def answer(self, exchange: Exchange) -> None:
        """Raises ClipperError for what is wrong with the whole request; other errors are counted and answered."""
        if exchange.method != b"POST":
            raise MethodNotAllowed(f"/{self._app.name}/update takes POST, not {exchange.method.decode('latin-1')}")

        if len(exchange.body) > LONGEST_BODY:
            raise PayloadTooLarge(
                f"feedback has at most {LONGEST_BODY} bytes, not {len(exchange.body)}: send the query_id in place "
                "of a large input"
            )

        if exchange.query_string or exchange.header(b"content-encoding") is not None:
            check_head(exchange, None)

        def respond(outcome: FeedbackAnswer | ClipperError) -> None:
            self._respond(exchange, outcome)

        try:
            self._updater.update(self._app, self._read(exchange.body, exchange.request_id), respond)
        except ClipperError as error:
            respond(error)

    def _read(self, body: bytes | bytearray, request_id: str) -> FeedbackRequest:
        try:
            fields = _decode(body)
            label = None if fields.label == NO_VALUE else msgspec.json.decode(fields.label)
        except RecursionError:
            raise _complaint("the JSON is nested too deeply") from None
        except UNREADABLE as error:
            raise _complaint(str(error) if body.strip() else "the body is empty") from None
        has_label, has_input = fields.label != NO_VALUE, fields.input != NO_VALUE
        if has_label is (fields.loss is not None):
            raise _complaint("send one of label and loss" + (", not both" if has_label else ""))
        if has_input is (fields.query_id is not None):
            raise _complaint("send one of query_id and input" + (", not both" if has_input else ""))
        user = check_user(fields.uid if fields.user_id is None else fields.user_id)
        data = self._input(fields.input) if has_input else None
        return FeedbackRequest(label, fields.loss, fields.query_id, data, user, request_id)

    def _input(self, raw: msgspec.Raw) -> bytes:
        """The input as the models get it, read as predict reads it."""
        return self._decoder.decode(b'{"input":%b}' % bytes(raw)).inputs[0]

    def _respond(self, exchange: Exchange, outcome: FeedbackAnswer | ClipperError) -> None:
        feedback = self._metrics.app(self._app.name).feedback
        if isinstance(outcome, ClipperError):
            feedback["refused"] += 1
            exchange.reply(outcome.status, outcome.to_json())
        elif outcome.accepted:
            feedback["accepted"] += 1
            exchange.reply_json(msgspec.json.encode(_accepted(outcome)))
        else:
            feedback["duplicate"] += 1
            exchange.reply_json(b'{"accepted":false,"duplicate":true}')


def _accepted(outcome: FeedbackAnswer) -> dict[str, Any]:
    return {"accepted": True, "query_id": outcome.query_id, "losses": outcome.losses}


def _complaint(detail: str) -> JsonError:
    return JsonError(f"Error parsing JSON: {detail}. Expected JSON schema: {UPDATE_SCHEMA}")
