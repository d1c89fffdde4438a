"""Elasticsearch by its own client. The only module that imports elasticsearch.

The client of version 8 speaks to servers 8 and 9; the one of version 9 is refused by servers of version 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import elasticsearch
from elasticsearch import exceptions as faults

from lab.detect.sigma.products import Language
from lab.siem import trouble
from lab.siem.document import RUN
from lab.siem.lucene import Answer
from lab.siem.target import Target

_TIMEOUT = 60
"""Seconds for one answer."""


class ElasticsearchWire:
    """The client; it tries nothing again by itself, since whoever sends knows what may be sent again."""

    product = "elasticsearch"
    oldest = 8
    correlates: Language = "esql"
    search_path = "/_query"

    def __init__(self, target: Target) -> None:
        self._target = target
        self.url = target.url
        options: dict[str, Any] = {"ca_certs": str(target.ca)} if target.ca else {}
        if target.api_key:
            options["api_key"] = target.api_key
        elif target.user:
            options["basic_auth"] = (target.user, target.password)
        self._client = elasticsearch.Elasticsearch(
            target.url, request_timeout=_TIMEOUT, max_retries=0, retry_on_timeout=False, **options
        )

    def ask(self, method: str, path: str, body: object = None, *, lines: bool = False) -> Answer:
        """Ask; an answer that is an error is an answer."""
        kind = "x-ndjson" if lines else "json"
        headers = {"accept": "application/vnd.elasticsearch+json; compatible-with=8"}
        if body is not None:
            headers["content-type"] = f"application/vnd.elasticsearch+{kind}; compatible-with=8"
        try:
            found = self._client.perform_request(method, path, headers=headers, body=body)
        except faults.UnsupportedProductError as error:
            trouble.wrong_product(self._target.name, url=self._target.url, said=str(error))
        except faults.ApiError as error:
            return Answer(status=error.meta.status, body=error.body)
        except faults.TransportError as error:
            trouble.unreachable(
                self._target.name, doing="asking", url=self._target.url, said=_all_said(error)
            )
        return Answer(status=found.meta.status, body=found.body)

    def within(self, query: str, run: str) -> str:
        """Narrow a query in ES|QL to the events of one run."""
        return query.replace(" | where ", f' | where {RUN} == "{run}" | where ', 1)

    def rows(self, answer: Any) -> Iterator[Mapping[str, object]]:  # noqa: ANN401  # JSON
        """Read the rows of an answer in ES|QL."""
        # pySigma's backend calls the start of a window so.
        names = ["since" if it["name"] == "timebucket" else it["name"] for it in answer["columns"]]
        for values in answer["values"]:
            yield dict(zip(names, values, strict=True))

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def _all_said(error: faults.TransportError) -> str:
    """Return the words of an error and of those below it: the reason is often in the last one."""
    causes = [*error.errors, error.__cause__]
    return " ".join(dict.fromkeys(str(it) or type(it).__name__ for it in (error, *causes) if it is not None))
