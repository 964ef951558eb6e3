"""Opens whichever store an address names: the path of a SQLite file, or a Redis."""

from __future__ import annotations

import re
from typing import Final

from clipper.errors import ConfigError
from clipper.store.base import Store
from clipper.store.journal import Journal, journal_path
from clipper.store.redis_address import FORM, SCHEMES, parse_address, shown_address
from clipper.store.sqlite import SqliteStore
from clipper.store.sqlite_journal import SqliteJournal

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_store(address: str) -> Store:
    """The registry's store at ``address``; made, if nothing is there.

    Raises:
        ConfigError: there is no such kind of address, or the package it needs is not installed.
        StoreError: it can't be opened.
    """
    if not is_redis(address):
        return SqliteStore(address)
    try:
        from clipper.store.redis import RedisStore
    except ImportError as error:
        raise _missing(address, error) from error
    return RedisStore(parse_address(address))


def open_journal(address: str) -> Journal:
    """The journal of the cluster whose registry is at ``address``. Raises as ``open_store`` does."""
    if not is_redis(address):
        return SqliteJournal(journal_path(address))
    try:
        from clipper.store.redis_journal import RedisJournal
    except ImportError as error:
        raise _missing(address, error) from error
    return RedisJournal(parse_address(address))


def is_redis(address: str) -> bool:
    """Whether it is a Redis's address; else it is a path. Raises ConfigError if it is neither."""
    found = _SCHEME.match(address)
    if found and found[1] not in SCHEMES:
        raise ConfigError(f"there is no store of the kind {found[1]}://: give the path of a file, or {FORM}")
    return found is not None


def shown_store(address: str) -> str:
    """The address as it may be logged: without a password."""
    return shown_address(address) if _SCHEME.match(address) else address


def _missing(address: str, error: ImportError) -> ConfigError:
    return ConfigError(
        f"the store {shown_address(address)} needs a package that is not installed ({error}): "
        "pip install 'clipper-serving[redis]'"
    )
