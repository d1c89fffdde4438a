"""The stage that serves pages over the runs of a folder."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.errors import WrongInput
from lab.flow.context import Context

_SHORTEST: Final = 16
"""Characters of a token that guards more than this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """Where to serve pages."""

    shown: Callable[[str], None]
    """Takes the address."""

    port: int = 0
    """The port; a free one when 0."""

    host: str = "127.0.0.1"
    """The address; another than loopback is reachable by others."""

    token: str = ""
    """The secret; made when empty, and to be given where others can reach it."""


def serve_pages(serving: Serving, context: Context) -> None:
    """Where -> nothing, once the user has seen enough.

    Raises:
        WrongInput: others could reach it, and no token guards it.
    """
    from lab.web.app import Place, serve

    try:
        alone = ipaddress.ip_address(serving.host).is_loopback
    except ValueError as error:
        raise WrongInput(f"{serving.host!r} is no address; write  --host 127.0.0.1") from error
    if not alone and len(serving.token) < _SHORTEST:
        raise WrongInput(
            f"{serving.host} can be reached by others: give a --token of {_SHORTEST} characters or more,"
            " and mind that nothing is encrypted on the way"
        )
    serve(context.workplace, Place(host=serving.host, port=serving.port, token=serving.token), serving.shown)
