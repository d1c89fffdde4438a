"""Make an HTTP request from a node; cookies and forms are kept for the steps that follow there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlencode, urljoin, urlsplit

from lab.errors import OutOfScope
from lab.exercise.inside import answer_of, argv_of
from lab.exercise.place import Place, Ran
from lab.exercise.scope import Target
from lab.exercise.steps.base import Outcome
from lab.files import records
from lab.files.declared import Fault, Key

_MOST_REDIRECTS: Final = 10

_BOUNDARY: Final = "----WebKitFormBoundaryq7tWZ2nBvGkLx0aD"
"""What parts a form with a file, as a browser makes one up."""

_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
"""What a browser says of itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A request, as the script inside the node takes it."""

    address: str
    port: int
    tls: bool
    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    timeout: float
    save: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A form of a page."""

    action: str
    """Where it goes."""

    method: str
    """How."""

    fields: Mapping[str, str]
    """Its fields, with what they hold, hidden ones too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: str
    cookies: Mapping[str, str]
    gone: tuple[str, ...]
    forms: tuple[Form, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file that a form sends."""

    remedy: ClassVar[str] = "write  upload: {field: photo, name: lamp.gif, content: GIF89a}"

    field: str
    """The form's field."""

    name: str
    """The file's name."""

    content: str
    """What is in it."""

    type: str = "application/octet-stream"
    """What it is said to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Http:
    """One request, and those that its redirects ask for."""

    kind: ClassVar[str] = "http"
    remedy: ClassVar[str] = "write  http: {target: shop, path: /login}"

    target: str
    """The node to ask."""

    path: str = "/"
    """Path and query."""

    port: Annotated[int, Key(least=1, most=65535)] = 80
    """Its port."""

    tls: bool = False
    """Whether over TLS; certificates are not checked, as an attacker would not."""

    method: Literal["", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] = ""
    """How; POST where there is a body, else GET."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers."""

    form: Mapping[str, str] = field(default_factory=dict)
    """Fields to send as a form; those of the form that the last page had, hidden ones too, are sent along."""

    body: str = ""
    """What to send instead of a form."""

    via: str = ""
    """A page that is loaded first, as a browser does, for the fields that its form hides."""

    upload: Upload | None = None
    """A file to send, together with the form."""

    save: str = ""
    """Where on its own node the last answer's body is kept, until the run ends; empty when it is not."""

    redirects: Annotated[int, Key(least=0, most=_MOST_REDIRECTS)] = 5
    """How many redirects are followed; each is resolved as any target is."""

    def faults(self) -> Iterator[Fault]:
        """Find two bodies, and paths that name a host."""
        if (self.form or self.upload) and self.body:
            yield Fault(key="body", what="a request has a form or a body, not both", remedy="keep one")
        for key, path in (("path", self.path), ("via", self.via)):
            if path and not path.startswith("/") and "{{" not in path:
                yield Fault(key=key, what=f"{path!r} is not a path", remedy=f"write  {key}: /login")

    def act(self, place: Place) -> Outcome:
        """Ask, and follow where the answer leads inside the lab."""
        if self.save:
            place.leaves(self.save)
        if self.via:
            _, _, page = self._ask(place, self.target, self.via, "GET", "")
            place.kept["http"] = self._kept(place, page)
        target, path, method, body = self.target, self.path, self._method(), self._body(place)
        hops: list[str] = []
        while True:
            ran, resolved, answer = self._ask(place, target, path, method, body)
            place.kept["http"] = self._kept(place, answer)
            hops.append(f"{method} http{'s' * self.tls}://{target}:{self.port}{path} -> {answer.status}")
            onward = answer.headers.get("location", "")
            if not onward or len(hops) > self.redirects or answer.status // 100 != 3:  # noqa: PLR2004  # 3xx
                break
            target, path = self._onward(place, resolved, path, onward)
            if answer.status in {301, 302, 303}:
                method, body = "GET", ""
        return Outcome(
            completed=ran.completed,
            command_line="; ".join(hops),
            targets=ran.targets,
            registered={
                "status": answer.status,
                "headers": answer.headers,
                "body": answer.body,
                "cookies": answer.cookies,
                "forms": answer.forms,
                "hops": hops,
            },
        )

    def _method(self) -> str:
        return self.method or ("POST" if self.form or self.upload or self.body else "GET")

    def _body(self, place: Place) -> str:
        if not self.form and not self.upload:
            return self.body
        names = {*self.form, *((self.upload.field,) if self.upload else ())}
        hidden: dict[str, str] = {}
        for it in place.kept.get("http", {}).get("forms", ()):
            if names & set(it["fields"]):
                hidden = dict(it["fields"])
                break
        fields = {**hidden, **self.form}
        return _multipart(fields, self.upload) if self.upload else urlencode(fields)

    def _ask(
        self, place: Place, target: str, path: str, method: str, body: str
    ) -> tuple[Ran, Target, _Answered]:
        resolved = place.resolve(target)
        asked = _Asked(
            address=resolved.address,
            port=self.port,
            tls=self.tls,
            method=method,
            path=path,
            headers=self._headers(place, resolved, body),
            body=body,
            timeout=place.timeout,
            save=self.save,
        )
        stdin = records.to_json(asked).encode()
        said = (path, body, *self.headers, *self.headers.values())
        ran = place.run(argv_of("http"), targets=(target,), stdin=stdin, packed=said)
        return ran, resolved, answer_of("http", ran.completed, _Answered)

    def _headers(self, place: Place, resolved: Target, body: str) -> dict[str, str]:
        cookies = place.kept.get("http", {}).get("cookies", {})
        found = {"Host": resolved.name, "User-Agent": _AGENT, "Accept": "*/*", "Connection": "close"}
        if cookies:
            found["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if self.upload and body:
            found["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
        elif self.form and body:
            found["Content-Type"] = "application/x-www-form-urlencoded"
        return {**found, **self.headers}

    def _onward(self, place: Place, resolved: Target, path: str, onward: str) -> tuple[str, str]:
        """Work out where a redirect leads; it goes through the door as every target does.

        Raises:
            OutOfScope: out of the lab, or to another port.
        """
        here = f"http{'s' * self.tls}://{resolved.name}:{self.port}{path}"
        to = urlsplit(urljoin(here, onward))
        default = 443 if to.scheme == "https" else 80
        if (to.port or default) != self.port or to.scheme not in {"http", "https"}:
            raise OutOfScope(onward, lab=place.node.lab, why="a redirect leads to another port")
        return to.hostname or resolved.name, (to.path or "/") + (f"?{to.query}" if to.query else "")

    def _kept(self, place: Place, answer: _Answered) -> dict[str, object]:
        before = place.kept.get("http", {}).get("cookies", {})
        cookies = {**before, **answer.cookies}
        forms = [{"action": it.action, "method": it.method, "fields": dict(it.fields)} for it in answer.forms]
        return {
            "cookies": {name: value for name, value in cookies.items() if name not in answer.gone},
            "forms": forms,
        }


def _multipart(fields: Mapping[str, str], upload: Upload) -> str:
    """Write a form with a file in it (RFC 7578)."""
    parts = [f'form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    named = f'form-data; name="{upload.field}"; filename="{upload.name}"'
    parts.append(f"{named}\r\nContent-Type: {upload.type}\r\n\r\n{upload.content}")
    body = "".join(f"--{_BOUNDARY}\r\nContent-Disposition: {it}\r\n" for it in parts)
    return f"{body}--{_BOUNDARY}--\r\n"
