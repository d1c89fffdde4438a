"""What can be wrong with a SIEM, each with what to do: said once, for every product that speaks HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

from lab.errors import SiemBusy, SiemFault, WrongProduct
from lab.siem.target import API_KEY, CA, PASSWORD, USER

_BUSY: Final = frozenset({408, 429, 502, 503, 504})
"""Status codes after which the same may work a little later."""

PRIVILEGES: Final = (
    "the cluster privileges monitor and manage_index_templates, and on logs-homerange.* "
    "create_doc, auto_configure, read, view_index_metadata, manage and maintenance"
)
"""What an account needs, in the words of both products."""

REMEDIES: Final[Mapping[int, tuple[str, str]]] = {
    401: ("it does not know us", f"set {API_KEY}, or {USER} and {PASSWORD}, and repeat the command"),
    403: (
        "this account may not do that",
        f"it needs {PRIVILEGES}",
    ),
    404: ("nothing of that name is there", "lab siem setup  makes it"),
    413: (
        "what was sent at once is too large for it",
        "raise http.max_content_length of the server, or of the proxy before it",
    ),
    429: ("it cannot take more just now", "wait, or give it more memory; what was sent stays"),
    502: ("the proxy before it does not reach it", "is the SIEM up?  repeat the command when it is"),
    503: ("it is not ready", "wait until its health is yellow or green, and repeat the command"),
    504: ("the proxy before it did not get an answer", "repeat the command when it answers"),
}
"""Status code of HTTP to what it means and what to do."""

_DISK: Final = "flood-stage watermark"
"""How Elasticsearch and OpenSearch say that the disk is full: indices may be read and not written."""


def refused(siem: str, *, doing: str, status: int, said: str) -> NoReturn:
    """Raise what a status code other than success means.

    Raises:
        SiemBusy: the same may work a little later.
        SiemFault: it will not.
    """
    meaning, remedy = REMEDIES.get(status, ("it failed", "its own log says more; repeat the command"))
    if is_disk(said):
        meaning, remedy = disk_full()
    raise (SiemBusy if status in _BUSY or is_disk(said) else SiemFault)(
        siem, doing=doing, said=f"{meaning} ({status}: {said[:500]})", remedy=remedy
    )


def is_disk(said: str) -> bool:
    """Tell whether an error is that the disk is full."""
    return _DISK in said


def disk_full() -> tuple[str, str]:
    """Say that the disk is full, and what to do."""
    return (
        "its disk is nearly full, so it takes nothing new",
        "make room on it: it writes again by itself below the high watermark; lab siem push  goes on then",
    )


def unreachable(siem: str, *, doing: str, url: str, said: str) -> NoReturn:
    """Raise what a connection that could not be made, or broke, means.

    Raises:
        SiemBusy: nothing answered; it may come back.
        SiemFault: the two ends do not agree about encryption.
    """
    for sign, meaning, remedy in _TLS:
        if sign in said:
            raise SiemFault(siem, doing=doing, said=f"{meaning} ({url})", remedy=remedy)
    remedy = "is it up, and is the address right?  what is not there yet stays here:  lab siem push"
    if url.startswith("http:") and any(sign in said for sign in _HUNG_UP):
        remedy = f"if it speaks TLS alone, write https:// in its address; else: {remedy}"
    raise SiemBusy(siem, doing=doing, said=f"nothing answers at {url} ({said[:200]})", remedy=remedy)


_HUNG_UP: Final = ("aborted", "reset by peer", "RemoteDisconnected", "BadStatusLine")
"""What a connection says to a server that hung up: one that is dying, or one that speaks TLS alone."""


_TLS: Final = (
    (
        "WRONG_VERSION_NUMBER",
        "it speaks plain HTTP, and https:// was asked for",
        "write http:// if it is on this machine, else turn its encryption on",
    ),
    (
        "record layer failure",
        "it speaks plain HTTP, and https:// was asked for",
        "write http:// if it is on this machine, else turn its encryption on",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not signed by anybody this machine trusts, or is for another name",
        f"set {CA} to the file with the certificate of who signed it; the name must be that of the address",
    ),
    (
        "IP address mismatch",
        "its certificate is for another address",
        "use the name that the certificate is for",
    ),
    (
        "Hostname mismatch",
        "its certificate is for another name",
        "use the name that the certificate is for",
    ),
)
"""What a connection says that failed over encryption, what that means, and what to do."""


def wrong_product(siem: str, *, url: str, said: str) -> NoReturn:
    """Raise that something else answers.

    Raises:
        WrongProduct: always.
    """
    raise WrongProduct(
        siem,
        doing="asking who it is",
        said=f"{url} is none of ours ({said[:200]})",
        remedy="it must be Elasticsearch 8 or 9, OpenSearch 2 or 3, or a Splunk event collector; "
        "Kibana and Dashboards answer on other ports than these",
    )


@contextmanager
def understood(siem: str, doing: str) -> Iterator[None]:
    """Name a server that answers in a shape that its documentation does not have.

    Raises:
        SiemFault: it did.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SiemFault(
            siem,
            doing=doing,
            said=f"it answered what its documentation does not tell of ({type(error).__name__}: {error})",
            remedy="is it what it says it is?  please report this with its version",
        ) from error


def old_version(siem: str, *, found: str, oldest: int) -> NoReturn:
    """Raise that a product is older than what we speak to.

    Raises:
        SiemFault: always.
    """
    raise SiemFault(
        siem,
        doing="asking who it is",
        said=f"it is version {found}",
        remedy=f"version {oldest} or later is needed: update it",
    )
