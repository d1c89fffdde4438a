"""A server on loopback that answers as a test says, and keeps what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Asked], Reply]

ELASTIC: Final = {"X-elastic-product": "Elasticsearch"}
"""How Elasticsearch says who it is."""


@dataclass
class Stub:
    """The server, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(answer: Answering, *, certificate: Path | None = None) -> Iterator[Stub]:
    """Serve on loopback, over TLS when there is a certificate."""
    stub = Stub(url="")

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            told = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            stub.asked.append(told)
            reply = answer(told)
            text = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
            self.send_response_only(reply.status)
            kind = "text/html" if isinstance(reply.body, str) else "application/json"
            for name, value in {
                "content-type": kind,
                "content-length": str(len(text)),
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for method in ("GET", "POST", "PUT", "HEAD", "DELETE"):
        setattr(_Handler, f"do_{method}", _Handler.one)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    stub.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def elasticsearch(*, version: str = "9.2.0", changed: Mapping[str, Reply] | None = None) -> Answering:
    """Answer as Elasticsearch does, but for what begins with some paths."""

    def answer(asked: Asked) -> Reply:
        for start, reply in (changed or {}).items():
            if asked.path.startswith(start):
                return Reply(reply.status, reply.body, {**ELASTIC, **reply.headers})
        return Reply(200, _usual(asked.path, version, asked), ELASTIC)

    return answer


def _usual(path: str, version: str, asked: Asked) -> object:
    if path.startswith("/_nodes/_local/stats"):
        return {"nodes": {"n": {"timestamp": int(time.time() * 1000)}}}
    if path.startswith("/_nodes/_local"):
        return {"nodes": {"n": {"version": version, "jvm": {"mem": {"heap_max_in_bytes": 1}}}}}
    if path.startswith("/_cluster/state"):
        return {"metadata": {"cluster_uuid": "u"}}
    if path == "/_query":
        return {"columns": [], "values": []}
    if "_bulk" in path:
        count = asked.body.count(b'{"create"')
        return {"errors": False, "items": [{"create": {"status": 201}}] * count}
    return {"count": 0, "acknowledged": True}
