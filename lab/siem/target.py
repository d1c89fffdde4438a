"""Which SIEM is meant, how it is reached, and who we are there."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lab.errors import BadFile, NotFound, Problem, WrongInput

if TYPE_CHECKING:  # paramiko is only there with the extra
    from lab.engine.ssh import Machine

API_KEY: Final = "LAB_SIEM_API_KEY"  # the variable's name, no key
"""The environment variable that holds an API key, or the token of a Splunk event collector."""

USER: Final = "LAB_SIEM_USER"
"""The environment variable that holds the name of an account."""

PASSWORD: Final = "LAB_SIEM_PASSWORD"  # noqa: S105  # the variable's name, no password
"""The environment variable that holds its password."""

CA: Final = "LAB_SIEM_CA"
"""The environment variable that names a file with the certificate of who signed the server's."""


SEARCH_URL: Final = "LAB_SIEM_SEARCH_URL"
"""The environment variable that says where Splunk's search answers, `https://HOST:8089`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A SIEM that is to be spoken to."""

    name: str
    """What it is called here, and in the files of a run: `elasticsearch`."""

    product: str = ""
    """Which product it is; found out when empty."""

    url: str
    """Where it answers: `https://siem.example:9200`."""

    search_url: str = ""
    """Where Splunk's search answers, which is another port than its event collector's."""

    user: str = ""
    """Name of the account; empty when none is needed, or a key says it."""

    password: str = field(default="", repr=False)
    """Its password."""

    api_key: str = field(default="", repr=False)
    """An API key instead."""

    ca: Path | None = None
    """Certificate of who signed the server's; None for the system's."""

    @property
    def plain(self) -> bool:
        """Tell whether the connection is not encrypted."""
        return urlsplit(self.url).scheme == "http"


class BadTarget(WrongInput):
    """A SIEM was named in a way that cannot be, or that is not safe."""

    def __init__(self, named: str, *, what: str, remedy: str) -> None:
        self.named = named
        self.what = what
        self.remedy = remedy
        super().__init__(named, what)

    def message(self) -> str:
        """Say what is wrong, and what would be right."""
        return f"{self.named}: {self.what}\n    {self.remedy}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """Who we are; from the environment, so that no password is in a command's history or arguments."""

    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    ca: Path | None = None
    search_url: str = ""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], ask: Callable[[str], str] = lambda _for: ""
    ) -> Credentials:
        """Read the variables.

        Args:
            environment: Holds them.
            ask: Asks a person for the password of an account; gives nothing where nobody can be asked.

        Raises:
            BadFile: the certificate's file is not there.
            BadTarget: a name without a password, or a password without a name.
        """
        user, password = environment.get(USER, ""), environment.get(PASSWORD, "")
        if user and not password:
            password = ask(user)
        if bool(user) != bool(password):
            raise BadTarget(
                USER, what=f"needs {PASSWORD}, and the other way round", remedy="set both, or neither"
            )
        ca = Path(environment[CA]) if environment.get(CA) else None
        if ca and not ca.is_file():
            raise BadFile(Problem(path=str(ca), line=0, what=f"is not there; {CA} names it"))
        return cls(
            user=user,
            password=password,
            api_key=environment.get(API_KEY, ""),
            ca=ca,
            search_url=environment.get(SEARCH_URL, "").rstrip("/"),
        )


def is_url(named: str) -> bool:
    """Tell whether a SIEM was named by its address."""
    return "://" in named


def target_at(url: str, credentials: Credentials, *, name: str = "", product: str = "") -> Target:
    """Return what an address means; `splunk+https://HOST:8088` says which product answers there.

    Args:
        url: Where the SIEM answers.
        credentials: Who we are.
        name: What it is called; the product's name when empty.
        product: Which product it is; found out when empty.

    Raises:
        BadTarget: the address is none, carries a password, or a password would travel unencrypted.
    """
    named, plus, rest = url.partition("+")
    if plus and named.isalpha():
        product, url = product or named, rest
    for it in filter(None, (url, credentials.search_url)):
        _require_safe(it, secret=credentials.password or credentials.api_key)
    return Target(
        name=name or product,
        product=product,
        url=url.rstrip("/"),
        search_url=credentials.search_url,
        user=credentials.user,
        password=credentials.password,
        api_key=credentials.api_key,
        ca=credentials.ca,
    )


def _require_safe(url: str, *, secret: str) -> None:
    """Refuse an address that is none, or that would give a password away.

    Raises:
        BadTarget: it is one of these.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadTarget(_shown(url), what="is no address of a SIEM", remedy="write  https://HOST:9200")
    if parts.username or parts.password:
        raise BadTarget(
            _shown(url),
            what="has a password in it, which stays in the history of your shell",
            remedy=f"leave it out and set {USER} and {PASSWORD}, or {API_KEY}",
        )
    if parts.scheme == "http" and secret and not is_loopback(parts.hostname):
        raise BadTarget(
            url,
            what="is not encrypted, and a password or key would travel over a network in the open",
            remedy="use https://, or a tunnel that ends on this machine: ssh -L 9200:127.0.0.1:9200 HOST",
        )


def machine_at(url: str, environment: Mapping[str, str], *, accepted: str = "") -> Machine:
    """Return the machine that an address means, `onion+ssh://ACCOUNT@HOST`.

    Args:
        url: The address.
        environment: May hold a password, for the log-in and for sudo.
        accepted: Fingerprint of the one unknown host key that is accepted.

    Raises:
        BadTarget: the address is none, or carries a password.
    """
    from lab.engine.ssh import Machine

    parts = urlsplit(url.partition("+")[2])
    if parts.scheme != "ssh" or not parts.hostname or not parts.username:
        raise BadTarget(_shown(url), what="is no Security Onion", remedy="write  onion+ssh://ACCOUNT@HOST")
    if parts.password:
        raise BadTarget(_shown(url), what="has a password in it", remedy=f"use a key, or set {PASSWORD}")
    return Machine(
        host=parts.hostname,
        port=parts.port or 22,
        user=parts.username,
        password=environment.get(PASSWORD, ""),
        accepted=accepted,
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(url: str) -> str:
    """Write an address without what may be secret in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def unknown(named: str, known: tuple[str, ...]) -> NotFound:
    """Make the error that no SIEM is called so."""
    return NotFound(
        "SIEM",
        name=named,
        known=known,
        remedy="name a product whose node runs in the lab, or an address: https://HOST:9200",
    )
