"""The screen of `lab serve`: which address shows what. Start reading here."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

import uvicorn
from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lab.errors import LabError, NotFound, NotReady
from lab.files.workplace import Workplace
from lab.web.guard import PARAMETER, Guard, new_token
from lab.web.opened import Shelf
from lab.web.pages import Ending, acting, slowly, static, trouble
from lab.web.views import case, entity, hunt, inbox, live, runs, why

LOOPBACK: Final = "127.0.0.1"
"""The address that nobody else reaches."""

_THREADS: Final = 2
"""Threads that answer what is answered at once."""

_SLOW: Final = 2
"""Threads that wait for other processes, and for large files."""

ROUTES: Final = (
    Route("/", runs.runs),
    Route("/compare", runs.compare),
    Route("/coverage", runs.coverage),
    Route("/history", runs.history),
    Route("/static/{version}/{name}", static),
    Route("/favicon.ico", lambda _: Response(status_code=204)),
    Route("/run/{run}/inbox", inbox.inbox),
    Route("/run/{run}/group", inbox.group),
    Route("/run/{run}/alert/{alert}", inbox.alert),
    Route("/run/{run}/triage", acting(inbox.triage), methods=["POST"]),
    Route("/run/{run}/hunt", hunt.hunt),
    Route("/run/{run}/bars", hunt.bars),
    Route("/run/{run}/values", hunt.values),
    Route("/run/{run}/events.csv", slowly(hunt.download)),
    Route("/run/{run}/event/{event}", hunt.event),
    Route("/run/{run}/sql", slowly(hunt.sql)),
    Route("/run/{run}/entity", entity.entity),
    Route("/run/{run}/connection", entity.connection),
    Route("/run/{run}/packets", slowly(entity.download)),
    Route("/run/{run}/case", case.case),
    Route("/run/{run}/case", acting(case.add), methods=["POST"]),
    Route("/run/{run}/live", live.live),
    Route("/run/{run}/stream", live.stream),
    Route("/run/{run}/why", why.why),
    Route("/run/{run}/reasons", slowly(why.reasons)),
    Route("/run/{run}/rule", why.rule),
    Route("/run/{run}/answers", why.answers),
    Route("/run/{run}/graded", slowly(why.graded)),
    Route("/run/{run}/report", runs.report),
)
"""Every address. What changes something is a POST, and there are two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where to serve."""

    host: str = LOOPBACK
    """The address to listen on."""

    port: int = 0
    """The port; a free one when 0."""

    token: str = ""
    """The secret of the first address; a new one when empty."""


class _Server(uvicorn.Server):
    """Tells whoever sends without end that it is time to go."""

    def __init__(self, config: uvicorn.Config, ending: Ending) -> None:
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Hear a signal."""
        self._ending.begun = True
        super().handle_exit(sig, frame)


def screen(shelf: Shelf) -> Starlette:
    """Make the application, without its guard.

    Args:
        shelf: The runs.
    """

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        """Keep threads few while the server runs: each of them has memory of its own."""
        current_default_thread_limiter().total_tokens = _THREADS
        app.state.slow = CapacityLimiter(_SLOW)
        yield
        shelf.close()

    made = Starlette(
        routes=list(ROUTES),
        exception_handlers={LabError: _trouble, 404: _nowhere, Exception: _fault},
        lifespan=living,
    )
    made.state.shelf = shelf
    made.state.ending = Ending()
    return made


def _trouble(request: Request, error: Exception) -> Response:
    return trouble(request, error)


def _fault(request: Request, error: Exception) -> Response:
    """Say that this program is at fault."""
    said = f"{type(error).__name__} while {request.url.path} was made: {error}"
    return trouble(request, LabError(f"this program is at fault, please report it\n{said}"))


def _nowhere(request: Request, error: Exception) -> Response:
    del error
    return trouble(request, NotFound("page", name=request.url.path, remedy="the list of runs is at /"))


def serve(workplace: Workplace, place: Place, shown: Callable[[str], None]) -> None:
    """Serve until the program is stopped.

    Args:
        workplace: The folder that has `runs/`.
        place: Where.
        shown: Takes the first address, with the token, once a browser can open it.

    Raises:
        NotReady: the port is taken, or the address is none of this machine.
    """
    token = place.token or new_token()
    try:
        listening = socket.create_server((place.host, place.port))
    except OSError as error:
        raise NotReady(
            f"{place.host}:{place.port} cannot be listened on: {error.strerror}",
            remedy="lab serve --port 0  takes a port that is free",
        ) from error
    # What is accepted inherits it. Without it a client waits 40 ms for the second packet of each answer.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listening.getsockname()[1]
    app = screen(Shelf(workplace))
    guarded = Guard(app, hosts=names_of(place.host), port=port, token=token)
    config = uvicorn.Config(
        guarded, log_level="critical", access_log=False, lifespan="on", server_header=False,
        date_header=False, ws="none", timeout_graceful_shutdown=1, timeout_keep_alive=30,
    )  # fmt: skip
    shown(f"http://{place.host}:{port}/?{PARAMETER}={token}")
    with closing(listening), suppress(KeyboardInterrupt):  # to stop it is how it ends
        _Server(config, app.state.ending).run(sockets=[listening])


def names_of(host: str) -> Iterable[str]:
    """Return by which names a server on an address may be called."""
    return (host, "localhost") if host == LOOPBACK else (host,)
