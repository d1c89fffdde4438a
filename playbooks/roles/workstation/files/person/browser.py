"""A web browser with a person before it."""

import http.client
import random
import re
import time
import urllib.parse
from collections.abc import Sequence

AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
)


class Browser:
    """One visit to the shop, over one connection that is kept open, with its cookie."""

    def __init__(self, host: str, dice: random.Random, pace: float) -> None:
        """Open a window.

        Args:
            host: Where the shop is.
            dice: What chance is drawn from.
            pace: How long a look takes, as a factor.
        """
        self._link = http.client.HTTPConnection(host, timeout=10)
        self._host, self._cookie, self._page, self._body = host, "", "", ""
        self._dice, self._pace = dice, pace
        self._agent = AGENTS[dice.randrange(len(AGENTS))]

    def look(self) -> None:
        """Look at a page for a while: mostly shortly, now and then long, as people do."""
        time.sleep(min(6.0, self._pace * self._dice.lognormvariate(-0.2, 0.7)))

    def get(self, path: str) -> str:
        """Load a page and look at it."""
        self._body = self._ask("GET", path)
        self._page = f"http://{self._host}{path}"
        self.look()
        return self._body

    def fetch(self, path: str) -> str:
        """Load what a page needs: a style sheet, a picture, data."""
        return self._ask("GET", path)

    def post(self, path: str, **fields: str) -> str:
        """Send a form with what the page had hidden in it; a redirection is followed."""
        hidden = re.search(r'name="token" value="(\w+)"', self._body)
        filled = {**({"token": hidden[1]} if hidden else {}), **fields}
        self._body = self._ask("POST", path, urllib.parse.urlencode(filled))
        self.look()
        return self._body

    def products(self, page: str) -> Sequence[str]:
        """Return the articles that a page shows."""
        return sorted(set(re.findall(r'href="(/product/\d+)"', page)))

    def _ask(self, method: str, path: str, form: str | None = None) -> str:
        response = self._answer(method, path, form)
        body = response.read().decode(errors="replace")
        if given := response.getheader("Set-Cookie"):
            self._cookie = given.partition(";")[0]
        moved = response.getheader("Location")
        return self._ask("GET", moved) if moved else body

    def _answer(self, method: str, path: str, form: str | None) -> http.client.HTTPResponse:
        try:
            self._link.request(method, path, form, self._headers(form))
            return self._link.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._link.close()  # the server had closed it while we were reading; a browser asks again
            self._link.request(method, path, form, self._headers(form))
            return self._link.getresponse()

    def _headers(self, form: str | None) -> dict[str, str]:
        headers = {"User-Agent": self._agent, "Accept": "text/html,*/*;q=0.8", "Accept-Language": "en"}
        headers |= {"Cookie": self._cookie} if self._cookie else {}
        headers |= {"Referer": self._page} if self._page else {}
        return headers | ({"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {})

    def close(self) -> None:
        """Close the window."""
        self._link.close()
