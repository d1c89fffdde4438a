"""OpenSearch by its own client. The only module that imports opensearchpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import opensearchpy
from opensearchpy import exceptions as faults

from lab.detect.sigma.products import Language
from lab.siem import trouble
from lab.siem.document import RUN
from lab.siem.lucene import Answer
from lab.siem.target import Target

_TIMEOUT = 60
"""Seconds for one answer."""


class OpenSearchWire:
    """The client; it tries nothing again by itself, since whoever sends knows what may be sent again."""

    product = "opensearch"
    oldest = 2
    correlates: Language = "ppl"
    search_path = "/_plugins/_ppl"

    def __init__(self, target: Target) -> None:
        self._target = target
        self.url = target.url
        options: dict[str, Any] = {"ca_certs": str(target.ca)} if target.ca else {}
        if target.api_key:
            options["headers"] = {"authorization": f"ApiKey {target.api_key}"}
        elif target.user:
            options["http_auth"] = (target.user, target.password)
        self._client = opensearchpy.OpenSearch(
            target.url, timeout=_TIMEOUT, max_retries=0, retry_on_timeout=False, **options
        )
        self._met = False

    def ask(self, method: str, path: str, body: object = None, *, lines: bool = False) -> Answer:
        """Ask; an answer that is an error is an answer."""
        if not self._met:
            self._meet()
        return self._ask(method, path, body, lines=lines)

    def _meet(self) -> None:
        """Make sure that it is OpenSearch: its client asks anybody.

        Raises:
            SiemFault: it is not.
        """
        found = self._ask("GET", "/")
        said = found.body.get("version", {}) if isinstance(found.body, dict) else {}
        refused = found.status in {401, 403, 429, 502, 503, 504}  # says nothing of who it is
        if not refused and (not isinstance(said, dict) or said.get("distribution") != "opensearch"):
            trouble.wrong_product(self._target.name, url=self._target.url, said=str(found.body))
        self._met = not refused

    def _ask(self, method: str, path: str, body: object = None, *, lines: bool = False) -> Answer:
        headers = {"content-type": "application/x-ndjson" if lines else "application/json"}
        if isinstance(body, bytes):
            body = body.decode()
        try:
            found = self._client.transport.perform_request(method, path, headers=headers, body=body)
        except faults.ConnectionError as error:
            trouble.unreachable(self._target.name, doing="asking", url=self._target.url, said=str(error))
        except faults.TransportError as error:
            status = error.status_code if isinstance(error.status_code, int) else 500
            return Answer(status=status, body=error.info or error.error)
        except faults.SerializationError as error:
            trouble.wrong_product(self._target.name, url=self._target.url, said=str(error))
        return Answer(status=200, body=found)

    def within(self, query: str, run: str) -> str:
        """Narrow a query in the piped language to the events of one run, in each of its searches."""
        return query.removeprefix("| ").replace(
            " | where `event.", f" | where `{RUN}` = '{run}' | where `event."
        )

    def rows(self, answer: Any) -> Iterator[Mapping[str, object]]:  # noqa: ANN401  # JSON
        """Read the rows of an answer in the piped language."""
        names = [column["name"] for column in answer["schema"]]
        for values in answer["datarows"]:
            yield dict(zip(names, values, strict=True))

    def close(self) -> None:
        """Hang up."""
        self._client.close()
