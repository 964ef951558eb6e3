"""One connection to a Redis: made when it is first needed and again once it broke, its errors explained."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as NoAnswer,
)
from redis.retry import Retry

from clipper.errors import ConfigError, StoreError
from clipper.store.redis_address import TLS, RedisAddress

TIMEOUT_SECONDS: Final = 3.0
"""How long one answer, or a connection, may take."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Between attempts to connect that failed: each is twice the one before. Meanwhile calls fail at once."""
SCHEMA: Final = 1

Argument = str | bytes | int | float


class Script:
    """A program that runs on the server, undivided: nobody sees half of what it does.

    Its keys begin with ``P``; ``ARGV[1]`` is the id of the cluster's data, and the arguments follow.
    """

    def __init__(self, body: str) -> None:
        self.text = _HEAD + body
        self.name = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_HEAD: Final = """
local P, call = KEYS[1], redis.call
local function whole(number) return string.format('%.0f', number) end
if ARGV[1] ~= '' and call('HGET', P .. 'store', 'id') ~= ARGV[1] then
  return redis.error_reply('LOST the data of the cluster')
end
"""
_OPEN: Final = Script("""
call('HSETNX', P .. 'store', 'id', ARGV[2])
call('HSETNX', P .. 'store', 'schema', ARGV[3])
return call('HMGET', P .. 'store', 'id', 'schema')
""")


class RedisServer:
    """The data of one cluster on a Redis. A call raises StoreError, whose cause names the server and what to do.

    After one that failed for the connection the next makes a new one, or fails at once if it was tried just before.
    ``connections`` counts them: what was known by an earlier one may not be true any more. ``timeout``, in seconds,
    bounds every wait.
    """

    def __init__(self, address: RedisAddress, timeout: float = TIMEOUT_SECONDS) -> None:
        self.address = address
        self.connections = 0
        self._timeout = timeout
        self._is_tls = address.url.startswith(TLS)
        self._id = b""
        self._connected = self._closed = False
        self._pause = 0.0
        self._not_before = 0.0
        self._refusal = ""
        try:
            self._connection = self._pool().make_connection()
        except (ValueError, TypeError, OSError, RedisError) as error:
            raise ConfigError(f"the store {address.shown} is not an address ({error}): correct it") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def run(self, script: Script, *arguments: Argument) -> Any:
        """What ``script`` returns: bytes, whole numbers, None, and lists of them."""
        with self.explained():
            self._connect()
            return self._run(script, self._id, *arguments)

    def ask(self, command: str, key: str, *arguments: Argument) -> Any:
        """The answer to one command on a key of the cluster."""
        with self.explained():
            self._connect()
            return self._call(command, self.address.prefix + key, *arguments)

    def info(self, section: str) -> dict[str, str] | None:
        """A section of what the server tells of itself; None if this user may not know."""
        try:
            with self.explained():
                self._connect()
                lines = self._call("INFO", section).decode().splitlines()
        except StoreError as error:
            if isinstance(error.__cause__, NoPermissionError):
                return None
            raise
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    def close(self) -> None:
        self._drop()
        self._closed = True

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Redis's errors, and records that can't be read, as StoreError."""
        try:
            yield
        except (RedisError, OSError) as error:
            cause = self._explain(error)
            if not isinstance(error, ResponseError):
                self._refusal = cause
            raise StoreError(cause) from error
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            shown = self.address.shown
            raise StoreError(
                f"the store {shown} holds a record that can't be read: put back a backup ({error})"
            ) from error

    # -- the connection

    def _pool(self) -> ConnectionPool:
        settings: dict[str, Any] = {"socket_timeout": self._timeout, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        if not self.address.url.startswith("unix:"):
            settings |= {"socket_connect_timeout": self._timeout, "socket_keepalive": True}
        return ConnectionPool.from_url(self.address.url, **settings)

    def _open(self) -> None:
        with self.explained():
            self._connect()
            self._id, schema = self._run(_OPEN, "", secrets.token_hex(8), SCHEMA)
        if int(schema) > SCHEMA:
            raise StoreError(
                f"the store {self.address.shown} was written by a newer Clipper (its schema is {int(schema)}, this "
                f"Clipper knows {SCHEMA}): upgrade Clipper, or name another cluster"
            )

    def _connect(self) -> None:
        if self._connected and not self._is_lost():
            return
        if self._closed:
            raise StoreError(f"the store {self.address.shown} is closed")
        if time.monotonic() < self._not_before:
            raise StoreError(self._refusal)
        try:
            self._connection.connect()
        except BaseException:
            self._drop()
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            self._not_before = time.monotonic() + self._pause
            raise
        self._connected = True
        self.connections += 1
        self._pause = self._not_before = 0.0

    def _is_lost(self) -> bool:
        """Whether Redis has hung up meanwhile: seen before a command is sent, it costs nobody anything."""
        try:
            lost = bool(self._connection.can_read(0))  # there is nothing that it could tell by itself
        except (RedisError, OSError):
            lost = True
        if lost:
            self._drop()
        return lost

    def _drop(self) -> None:
        self._connected = False
        self._connection.disconnect()

    def _run(self, script: Script, *arguments: Argument) -> Any:
        given = 1, self.address.prefix, *arguments
        try:
            return self._call("EVALSHA", script.name, *given)
        except NoScriptError:
            return self._call("EVAL", script.text, *given)

    def _call(self, *command: Argument) -> Any:
        """Never tried again: nobody knows whether what got no answer was done."""
        try:
            self._connection.send_command(*command)
            return self._connection.read_response()
        except ResponseError as error:
            if isinstance(error, ReadOnlyError) or any(each in str(error) for each in ("READONLY ", "LOST ")):
                self._drop()  # next time the name may lead to the new master
            raise
        except BaseException:
            self._drop()  # an answer may still come, and would be taken for another's
            raise

    # -- its errors

    def _explain(self, error: Exception) -> str:
        shown = f"the Redis {self.address.shown}"
        for marker, kind, words in _REFUSALS:
            if isinstance(error, kind) and (kind is not ResponseError or marker in str(error)):
                return f"{shown} {words}"
        return f"{shown} {self._explain_failure(error)}"

    def _explain_failure(self, error: Exception) -> str:
        if isinstance(error, NoPermissionError):
            return f"forbids a command ({error}): allow the user all commands on keys that begin with clipper:"
        if isinstance(error, NoAnswer) and self._is_tls and not self._connected:
            return f"did not answer within {self._timeout:g} s: see whether its port is that for TLS, and it is up"
        if isinstance(error, NoAnswer):
            return f"did not answer within {self._timeout:g} s: see whether it is overloaded, or the network is down"
        if isinstance(error, ResponseError):
            return f"failed ({error}): see its log, and whether another program uses keys of the cluster"
        return f"can't be reached ({error}): {self._advise(error)}; it is tried again at least every second"

    def _advise(self, error: Exception) -> str:
        if "certificate is not valid for" in str(error):
            return "write the host as its certificate names it"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return "name the file of the authority that signed its certificate with ca=FILE in the address"
        if not self.connections and not self._is_tls and re.search("reset by peer|closed by server", str(error)):
            return "see what is there: the address begins with rediss:// if it speaks TLS"
        return "start it, or correct the address; if it has ended, its log says why (a full disk, for one)"


_REFUSALS: Final[Sequence[tuple[str, type[RedisError], str]]] = (
    ("", AuthenticationError, "refuses the user or the password: correct them in the address of the store"),
    ("", BusyLoadingError, "is still loading its data: it will answer soon"),
    ("", OutOfMemoryError, _FULL := "is out of memory and nothing was changed: raise its maxmemory, or free some"),
    ("OOM ", ResponseError, _FULL),
    (
        "",
        ReadOnlyError,
        _REPLICA := "is a read-only replica and nothing was changed: give the address of its master",
    ),
    ("READONLY ", ResponseError, _REPLICA),
    (
        "LOST ",
        ResponseError,
        "has lost the data of the cluster (it was emptied, or started again without persistence): put back a backup "
        "of Redis, or start the servers of the cluster again to begin with an empty one",
    ),
    (
        "MISCONF ",
        ResponseError,
        "can't write to its disk and nothing was changed: free some space there, see its log",
    ),
    (
        "WRONGTYPE ",
        ResponseError,
        "has keys of another program where the cluster's should be: name another cluster in the address",
    ),
)
"""What Redis says, by its type or, within a script, by its text."""
