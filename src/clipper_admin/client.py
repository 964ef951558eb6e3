"""HTTP to the two frontends of one cluster, with an end to every wait."""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import requests

from clipper_admin import payload
from clipper_admin.exceptions import ClipperException

CONNECT_SECONDS: Final = 5.0
ADMIN_SECONDS: Final = 60.0
PING_SECONDS: Final = 5.0
# A frontend answers by the application's objective; this only ends the wait for one that hangs.
PREDICT_SECONDS: Final = 300.0
UPDATE_SECONDS: Final = 300.0
FEEDBACK_PAGE: Final = 1000


class Client:
    """One cluster's frontends at ``host:port`` addresses. Every method raises ``ClipperException``."""

    def __init__(
        self, query_addr: str, admin_addr: str, log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self.query_addr = query_addr
        self.admin_addr = admin_addr
        self.input_types: dict[str, str] = {}
        """What applications took when they were last looked up; others may have registered them anew since."""
        self._log = log
        self._session = requests.Session()
        # A proxy from the environment must not stand between a notebook and its own machine.
        self._session.trust_env = not (_is_loopback(query_addr) and _is_loopback(admin_addr))

    def admin(self, action: str, **fields: object) -> str:
        """POSTs to ``/admin/<action>``; the text answered."""
        return self._post(self.admin_addr, f"/admin/{action}", fields, ADMIN_SECONDS).text

    def admin_json(self, action: str, **fields: object) -> Any:
        """POSTs to ``/admin/<action>``; the JSON answered."""
        return self._decode(self._post(self.admin_addr, f"/admin/{action}", fields, ADMIN_SECONDS))

    def predict(self, app_name: str, fields: Mapping[str, object]) -> Any:
        path = f"/{quote(app_name, safe='')}/predict"
        return self._decode(self._post(self.query_addr, path, fields, PREDICT_SECONDS))

    def predict_binary(self, app_name: str, body: bytes, content_type: str, fields: Mapping[str, object]) -> Any:
        path = f"/{quote(app_name, safe='')}/predict"
        headers = {"Content-Type": content_type}
        response = self._send(
            "POST", self.query_addr, path, PREDICT_SECONDS, data=body, headers=headers, params=fields
        )
        return self._decode(response)

    def update(self, app_name: str, fields: Mapping[str, object]) -> Any:
        """POSTs feedback."""
        path = f"/{quote(app_name, safe='')}/update"
        body = payload.encode(fields, payload.NO_NAN_IN_FEEDBACK)
        headers = {"Content-Type": "application/json"}
        return self._decode(self._send("POST", self.query_addr, path, UPDATE_SECONDS, data=body, headers=headers))

    def feedback(self, app_name: str) -> Iterator[bytes]:
        """Pages of an application's feedback, in its order: lines of JSON, each with its newline."""
        after = 0
        while True:
            fields = {"app_name": app_name, "after": after, "limit": FEEDBACK_PAGE}
            page = self._send("GET", self.admin_addr, "/admin/feedback", ADMIN_SECONDS, params=fields).content
            if not page:
                return
            yield page
            after = _last_position(page)

    def metrics(self) -> Any:
        """The query frontend's metrics, decoded."""
        return self._decode(self._get(self.query_addr, "/metrics", ADMIN_SECONDS))

    def check(self) -> None:
        """Returns if both frontends answer."""
        self._get(self.query_addr, "/metrics", PING_SECONDS)
        self._get(self.admin_addr, "/admin/ping", PING_SECONDS)

    def close(self) -> None:
        self._session.close()

    def _post(self, addr: str, path: str, fields: Mapping[str, object], seconds: float) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return self._send("POST", addr, path, seconds, data=payload.encode(fields), headers=headers)

    def _get(self, addr: str, path: str, seconds: float) -> requests.Response:
        return self._send("GET", addr, path, seconds, headers={"Accept": "application/json"})

    def _send(self, method: str, addr: str, path: str, seconds: float, **extra: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, f"http://{addr}{path}", timeout=(CONNECT_SECONDS, seconds), allow_redirects=False, **extra
            )
        except UnicodeError as error:
            raise ClipperException(f"The request has text that is no Unicode ({error}): correct it") from error
        except requests.RequestException as error:
            raise _unreachable(addr, path, seconds, error) from error
        response.encoding = "utf-8"
        if response.status_code != requests.codes.ok:
            message = f"Received error status code: {response.status_code} and message: {response.text}"
            self._log.error(message)
            raise ClipperException(message)
        return response

    def _decode(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except requests.exceptions.JSONDecodeError as error:
            raise ClipperException(
                f"{response.url} answered what is not JSON ({response.text[:80]!r}): is another program on this port?"
            ) from error


def _unreachable(addr: str, path: str, seconds: float, error: requests.RequestException) -> ClipperException:
    if isinstance(error, requests.ReadTimeout):
        what = f"accepted the connection but did not answer within {seconds:g} seconds"
    else:
        what = "did not answer"
    return ClipperException(
        f"Clipper at http://{addr}{path} {what} ({type(error).__name__}). Is the cluster running? `clipper status` "
        "shows it, `clipper start` or ClipperConnection.start_clipper starts it, `clipper logs` shows why it stopped"
    )


def _last_position(page: bytes) -> int:
    try:
        return int(json.loads(page[page.rfind(b"\n", 0, -1) + 1 :])["position"])
    except (ValueError, KeyError, TypeError) as error:
        raise ClipperException(
            f"/admin/feedback answered what is no feedback ({page[-80:]!r}): is another program on this port?"
        ) from error


def _is_loopback(addr: str) -> bool:
    host = addr.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
