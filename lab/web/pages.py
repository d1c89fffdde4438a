"""Templates filled and sent, and what comes from a form: what all views share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from anyio.to_thread import run_sync
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from lab.errors import LabError, NotFound, WrongInput
from lab.moment import SECOND, Moment
from lab.report import paper
from lab.web.opened import Opened, Shelf

_HERE: Final = Path(__file__).parent
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

_LARGEST: Final = 2**20
"""Bytes of a form."""

Form = Mapping[str, Sequence[str]]
"""What was sent: each name with its values."""


@dataclass(slots=True)
class Ending:
    """Whether the server is about to end: who sends without end looks at it."""

    begun: bool = False
    """Whether it is."""


@cache
def _environment() -> Any:  # noqa: ANN401  # jinja2's, which is imported in lab.report.paper alone
    made = paper.html_environment(_HERE / "templates")
    made.filters.update(clock=_clock, day=_day, number=_number, url=quote, kept=_kept, lasting=_lasting)
    made.globals["asset"] = lambda name: f"/static/{_version()}/{name}"
    return made


def page(request: Request, template: str, *, status: int = 200, **said: object) -> Response:
    """Fill a template.

    Args:
        request: What was asked; its path tells which part of the screen is shown.
        template: Name of the template.
        status: HTTP's.
        said: What the template shows.
    """
    said.setdefault("opened", None)
    text = _environment().get_template(template).render(path=request.url.path, **said)
    return HTMLResponse(text, status)


def trouble(request: Request, error: Exception) -> Response:
    """Say what is wrong, on a page: what was not found, or what was asked wrongly."""
    status = 404 if isinstance(error, NotFound) else 400 if isinstance(error, WrongInput) else 500
    return page(request, "trouble.html.j2", status=status, said=str(error).splitlines(), title="Not possible")


def shelf_of(request: Request) -> Shelf:
    """Return the runs."""
    found: Shelf = request.app.state.shelf
    return found


def opened(request: Request) -> Opened:
    """Return the run that the address names.

    Raises:
        NotFound: there is none.
    """
    return shelf_of(request).find(request.path_params["run"])


def acting(view: Callable[[Request, Form], Response]) -> Callable[[Request], Any]:
    """Make a view of one that takes a form; what it does is done before the answer is sent."""

    async def sent(request: Request) -> Response:
        """Read the form, act, answer."""
        if int(request.headers.get("content-length") or _LARGEST + 1) > _LARGEST:
            return PlainTextResponse("a form has at most 1 MB\n", 413)
        body = await request.body()
        form: dict[str, list[str]] = {}
        for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
            form.setdefault(name, []).append(value)
        try:
            return await run_in_threadpool(view, request, form)
        except LabError as error:
            return trouble(request, error)

    sent.__name__ = view.__name__
    return sent


def slowly(view: Callable[[Request], Response]) -> Callable[[Request], Any]:
    """Make a view of one that takes seconds: such ones wait for each other, and nobody else for them."""

    async def waited(request: Request) -> Response:
        """Answer when there is room."""
        return await run_sync(view, request, limiter=request.app.state.slow)

    waited.__name__ = view.__name__
    return waited


def one(form: Form, name: str, otherwise: str = "") -> str:
    """Return the first value of a form's field."""
    return form.get(name, (otherwise,))[0]


def back_to(form: Form, otherwise: str, **more: str) -> Response:
    """Send a browser back to where it came from: a path of ours, and none of somebody else's."""
    wanted = one(form, "back", otherwise)
    path = wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) else otherwise
    if more:
        path = f"{path}{'&' if '?' in path else '?'}{urlencode(more)}"
    return RedirectResponse(path, 303)


@cache
def _static(name: str) -> bytes:
    if name == "report.css":
        return paper.style().encode()
    return (_HERE / "static" / name).read_bytes()


@cache
def _version() -> str:
    """Name the state of all files in one: a script then finds those that it imports beside itself."""
    return hashlib.sha256(b"".join(map(_static, STATIC))).hexdigest()[:12]


STATIC: Final = ("report.css", "screen.css", "screen.js", "inbox.js", "hunt.js", "live.js")
"""Our own files, which pages load."""


def static(request: Request) -> Response:
    """Send one of our own files."""
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("no such file\n", 404)
    headers = {"cache-control": "private, max-age=31536000, immutable"}
    return Response(_static(name), media_type=_TYPES[Path(name).suffix], headers=headers)


def _clock(nanoseconds: int) -> str:
    return Moment(nanoseconds).iso()[11:23]


def _day(nanoseconds: int) -> str:
    said = Moment(nanoseconds).iso()
    return f"{said[:10]} {said[11:19]}"


def _number(value: int) -> str:
    return f"{value:,}"


def _kept(value: str, most: int = 400) -> str:
    """Cut a text for a cell of a table."""
    return value if len(value) <= most else f"{value[:most]}… ({len(value) - most} characters more)"


def _lasting(nanoseconds: int) -> str:
    return f"{nanoseconds / SECOND:.1f} s"
