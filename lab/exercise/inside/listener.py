"""Serves files and takes what comes over HTTP, DNS and TCP, and writes down who asked for what.

Its one argument is JSON. It ends when it is told to, and takes no more than so many bytes.
"""

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import shutil
import socketserver
import struct
import sys
import threading
from typing import Any

MOST_BYTES = 32 * 2**20
asked: dict[str, Any] = json.loads(base64.b64decode(sys.argv[1]))
folder = pathlib.Path(asked["folder"])
lock = threading.Lock()
taken = {"bytes": 0}


def note(log: str, line: str) -> None:
    """Write a line down."""
    with lock, open(folder / log, "a", encoding="utf-8", errors="replace") as file:
        file.write(line.replace("\n", " ")[:2000] + "\n")


def keep(name: str, content: bytes) -> None:
    """Keep what came, up to a bound."""
    with lock:
        taken["bytes"] += len(content)
        if taken["bytes"] <= MOST_BYTES:
            with open(folder / "received" / pathlib.Path(name).name, "ab") as file:
                file.write(content)


class Web(http.server.BaseHTTPRequestHandler):
    """Answers with what is asked for, and with what is to be done."""

    server_version = "nginx"
    sys_version = ""

    def log_message(self, *said: object) -> None:
        """Say nothing on the screen."""

    def do_GET(self) -> None:  # the library's name
        """Give a file, or the next thing to do."""
        note("http.log", f"{self.client_address[0]} GET {self.path}")
        content = asked["files"].get(self.path.partition("?")[0].lstrip("/"))
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len((content or "").encode())))
        self.end_headers()
        self.wfile.write((content or "").encode())

    def do_POST(self) -> None:  # the library's name
        """Take what is sent."""
        length = min(int(self.headers.get("Content-Length") or 0), MOST_BYTES)
        keep(self.path.partition("?")[0] or "body", self.rfile.read(length))
        note("http.log", f"{self.client_address[0]} {self.command} {self.path} {length}")
        self.send_response(204)
        self.end_headers()

    do_PUT = do_POST  # noqa: N815  # likewise


class Names(socketserver.BaseRequestHandler):
    """Answers every question with an address that nobody has."""

    def handle(self) -> None:
        """Read the name, and answer it."""
        message, link = self.request
        labels, at = [], 12
        while at < len(message) and message[at]:
            labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "replace"))
            at += 1 + message[at]
        note("dns.log", f"{self.client_address[0]} {'.'.join(labels)}")
        if labels:
            keep("dns", labels[0].encode() + b"\n")
        question = message[12 : at + 5]
        head = message[:2] + struct.pack(">HHHHH", 0x8580, 1, 1, 0, 0)
        link.sendto(head + question + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes((192, 0, 2, 53)),
                    self.client_address)  # fmt: skip


class Plain(socketserver.BaseRequestHandler):
    """Takes bytes over TCP."""

    def handle(self) -> None:
        """Take what comes, and say that it came."""
        self.request.settimeout(10)
        try:
            while content := self.request.recv(65536):
                keep("tcp", content)
                note("tcp.log", f"{self.client_address[0]} {len(content)}")
                self.request.sendall(b"ok\n")
        except OSError:
            return


class Server(socketserver.ThreadingTCPServer):
    """A server whose port may be taken again at once."""

    allow_reuse_address = True
    daemon_threads = True


shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
(folder / "received").mkdir(parents=True)
socketserver.ThreadingUDPServer.allow_reuse_address = True
servers: list[socketserver.BaseServer] = []
if asked["http"]:
    servers.append(http.server.ThreadingHTTPServer(("0.0.0.0", asked["http"]), Web))  # noqa: S104
if asked["dns"]:
    servers.append(socketserver.ThreadingUDPServer(("0.0.0.0", asked["dns"]), Names))  # noqa: S104
if asked["tcp"]:
    servers.append(Server(("0.0.0.0", asked["tcp"]), Plain))  # noqa: S104
for it in servers:
    threading.Thread(target=it.serve_forever, daemon=True).start()
(folder / asked["ready"]).write_text("yes")
threading.Event().wait()
