"""Who may ask, and what a page may do: stands before every route, so that none can forget it.

Other pages that the user has open can send requests here as well; names that somebody else controls can be
made to lead here. So the Host header must name this server, whoever changes something must come from a page
of ours, and each request needs a token that only the address printed at the start has; it then lives in a
cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "homerange"
"""The cookie that holds the token; the port is added, since cookies know none."""

PARAMETER: Final = "token"
"""What the token is called in the first address."""

_READS: Final = frozenset({"GET", "HEAD"})

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: our own files, and nothing from elsewhere or written into the page."""

_ALWAYS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a form of ours says that it comes from "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every answer that does not say otherwise itself."""


class Guard:
    """Lets through who has the token and comes by the right name."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], port: int, token: str) -> None:
        """Stand before an application.

        Args:
            app: What is guarded.
            hosts: Names and addresses by which this server may be called.
            port: Its port.
            token: The secret.
        """
        self._app = app
        self._names = frozenset(f"{host}:{port}" for host in hosts)
        self._cookie = f"{COOKIE}-{port}"
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":  # no web sockets here
            await self._app(scope, receive, send)
            return
        answer = self._refusal(scope)
        if answer is None:
            await self._app(scope, receive, _guarded(send))
        else:
            await answer(scope, receive, _guarded(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._names:
            return PlainTextResponse("this server does not go by that name\n", 421)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if scope["method"] in _READS and PARAMETER in query:
            return self._first(scope, query)
        held = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if not hmac.compare_digest(held.encode(), self._token.encode()):
            return PlainTextResponse("open the address that  lab serve  printed: it has a token\n", 401)
        if scope["method"] not in _READS and not self._from_us(headers):
            return PlainTextResponse("only a page of this server may do that\n", 403)
        return None

    def _from_us(self, headers: Headers) -> bool:
        """Tell whether a page of ours sent it: a browser says from where, and a person's program need not."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "same-origin") == "same-origin"
        return origin in {f"http://{it}" for it in self._names}

    def _first(self, scope: Scope, query: Mapping[str, str]) -> Response:
        """Take the token out of the address and into a cookie."""
        if not hmac.compare_digest(query[PARAMETER].encode(), self._token.encode()):
            return PlainTextResponse("the token is not that of this server;  lab serve  printed it\n", 401)
        rest = urlencode([(name, value) for name, value in query.items() if name != PARAMETER])
        answer = RedirectResponse(f"{scope['path']}?{rest}" if rest else scope["path"], 303)
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer


def _guarded(send: Send) -> Send:
    """Add the headers of every answer."""

    async def sending(message: Message) -> None:
        """Send one part."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _ALWAYS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def new_token() -> str:
    """Make a secret."""
    return secrets.token_urlsafe(24)
