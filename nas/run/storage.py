"""URLs of databases: what may be written down and shown of one, and what is secret.

A password may stand before the host or in the query (`?user=u&password=P`), and drivers have queries of their own. So
only what is known to be harmless is shown; a URL that cannot be taken apart is shown not at all.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from nas.errors import UserError

PASSWORD = "NAS_STORAGE_PASSWORD"  # the environment variable that holds the password where the URL has none
SHORT = 4  # letters of a secret that is looked for in other words
FORM = "DIALECT[+DRIVER]://[USER[:PASSWORD]@][HOST[:PORT]][/DATABASE][?OPTIONS], signs in a part written as %XX"
_URL = re.compile(
    r"(?P<driver>[a-z][a-z0-9_]*(?:\+[a-z0-9_]+)?)://"
    r"(?:(?P<user>[\w.~%+-]*)(?::(?P<password>[^\s@/?#]*))?@)?"
    r"(?P<host>(?:[\w.-]*|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?)"
    r"(?P<database>/[^\s@?#]*)?"
    r"(?:\?(?P<query>\S*))?"
)
_ANY = re.compile(r"(?P<scheme>\b(?!folder:|npz:)[A-Za-z][\w+.-]*:/)(?P<slash>/?)(?P<rest>\S+)")
_SQLITE = re.compile(r"(?P<driver>sqlite(?:\+[a-z0-9_]+)?)://(?P<database>/[^?#]*)?(?:\?(?P<query>\S*))?")


@dataclass(frozen=True)
class Storage:
    """Where the trials are kept when it is not a file of the run: an Optuna storage's URL."""

    public: str  # without password and query: what is written and shown
    url: str = field(repr=False)  # the whole; never written or shown
    given: str = field(repr=False)  # as the user wrote it
    secrets: tuple[str, ...] = field(repr=False)  # texts that a message must not hold

    def hides(self, text: str) -> bool:
        """Whether a text, such as a driver's message, holds nothing secret."""
        return not any(secret in text for secret in self.secrets)

    def masked(self, word: str) -> str:
        """A word of a command, or *** where it holds a secret of four letters or more: others are in many words."""
        return "***" if any(len(secret) >= SHORT and secret in word for secret in self.secrets) else word


def read_storage(url: str, what: str = "--storage") -> Storage:
    """Takes a URL apart. SQLite's file is made absolute; `NAS_STORAGE_PASSWORD` is used where there is a user only.

    Raises UserError, without the text, for what is not such a URL.
    """
    parts = _parts(url, what)
    database, query = parts.get("database") or "", parts.get("query") or ""
    if parts["driver"].startswith("sqlite"):
        if len(database) > 1 and database != "/:memory:":
            database = "/" + str(Path(database[1:]).absolute())
        public = f"{parts['driver']}://{database}"
        return Storage(public, public + (f"?{query}" if query else ""), url, _secrets(query))
    user, password = parts["user"], parts["password"]
    if password is None and user and os.environ.get(PASSWORD):
        password = quote(os.environ[PASSWORD], safe="")
    start, end = f"{parts['driver']}://", f"{parts['host']}{database}"
    login = "" if user is None else user + ("" if password is None else f":{password}") + "@"
    public = start + (f"{user}@" if user else "") + end
    given = os.environ.get(PASSWORD, "") if parts["password"] is None else ""
    secrets = tuple({*filter(None, (password, unquote(password or ""), given)), *_secrets(query)})
    return Storage(public, start + login + end + (f"?{query}" if query else ""), url, secrets)


def public_url(url: str, what: str = "--storage") -> str:
    """The URL as it may be written and shown. Raises UserError, without the text, for what is not such a URL."""
    parts = _parts(url, what)
    user = parts.get("user")
    return f"{parts['driver']}://{f'{user}@' if user else ''}{parts.get('host', '')}{parts['database'] or ''}"


def _parts(url: str, what: str) -> dict[str, str]:
    match = (_SQLITE if url.startswith("sqlite") else _URL).fullmatch(url)
    if match is None or len(url) > 2000:
        raise UserError(
            f"{what} must be a database's URL: {FORM}; got {len(url)} characters that are not one, not shown because "
            "they may hold a password"
        )
    return match.groupdict()


def _secrets(query: str) -> tuple[str, ...]:
    values = [value for part in query.split("&") if (value := part.partition("=")[2])]
    return tuple({*values, *map(unquote, values)})


def without_secrets(text: str) -> str:
    """The text without the passwords and queries of the URLs in it, whole or broken."""
    return _ANY.sub(_harmless, text)


def _harmless(url: re.Match[str]) -> str:
    before, at, after = url["rest"].rpartition("@")
    if at:
        user = re.split(r"[:/?#]", before)[0]
        return f"{url['scheme']}{url['slash']}{user}@{after.partition('?')[0]}"
    if not url["slash"]:
        return url[0]  # a path
    return url["scheme"] + "/" + re.split(r":(?!\d)|\?", url["rest"])[0]
