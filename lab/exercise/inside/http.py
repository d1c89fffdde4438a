"""Makes one HTTP request and prints the answer; follows no redirect, asks no proxy, resolves no name."""

from __future__ import annotations

import http.client
import http.cookies
import json
import os
import ssl
import sys
from html.parser import HTMLParser
from typing import Any

LARGEST = 1 << 20


class Forms(HTMLParser):
    """Gathers the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a form, or note a field of it."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = given.get("method", "get").upper()
            self.forms.append({"action": given.get("action", ""), "method": method, "fields": {}})
        elif tag in {"input", "textarea", "select", "button"} and self.forms and given.get("name"):
            self.forms[-1]["fields"][given["name"]] = given.get("value", "")


def connected(asked: dict[str, Any]) -> http.client.HTTPConnection:
    """Return the connection; certificates are not checked, as an attacker would not."""
    where = {"host": asked["address"], "port": asked["port"], "timeout": asked["timeout"]}
    if asked["tls"]:
        return http.client.HTTPSConnection(context=ssl._create_unverified_context(), **where)
    return http.client.HTTPConnection(**where)


def main() -> None:
    """Ask, and print the answer."""
    asked = json.load(sys.stdin)
    link = connected(asked)
    link.request(
        asked["method"], asked["path"], body=asked["body"].encode() or None, headers=asked["headers"]
    )
    answer = link.getresponse()
    read = answer.read(LARGEST)
    body = read.decode("utf-8", "replace")
    if asked["save"]:
        with open(os.open(asked["save"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(read)
    cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    for line in answer.headers.get_all("Set-Cookie") or ():
        try:
            cookies.load(line)
        except http.cookies.CookieError:
            continue
    forms = Forms()
    if "html" in answer.headers.get("Content-Type", ""):
        forms.feed(body)
    json.dump(
        {
            "status": answer.status,
            "headers": {name.lower(): value for name, value in answer.headers.items()},
            "body": body,
            "cookies": {name: it.value for name, it in cookies.items()},
            "gone": [name for name, it in cookies.items() if it["max-age"] == "0"],
            "forms": forms.forms,
        },
        sys.stdout,
    )


main()
