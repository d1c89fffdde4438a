"""Every SIEM that is spoken to, by the name of its product. To add one is to add a module and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from lab.errors import NotReady, SiemFault, WrongProduct
from lab.siem.sink import Sink
from lab.siem.target import Target


def _elasticsearch(target: Target) -> Sink:
    from lab.siem.elasticsearch import ElasticsearchWire
    from lab.siem.lucene import LuceneSink

    return LuceneSink(target.name, ElasticsearchWire(target))


def _opensearch(target: Target) -> Sink:
    from lab.siem.lucene import LuceneSink
    from lab.siem.opensearch import OpenSearchWire

    return LuceneSink(target.name, OpenSearchWire(target))


def _splunk(target: Target) -> Sink:
    from lab.siem.splunk import SplunkSink

    return SplunkSink(target)


SINKS: Final[Mapping[str, Callable[[Target], Sink]]] = {
    "elasticsearch": _elasticsearch,
    "opensearch": _opensearch,
    "splunk": _splunk,
}
"""What is to be done to speak to a product."""


def open_sink(target: Target) -> Sink:
    """Make the sink for a SIEM; one whose product is not known is asked what it is.

    Raises:
        NotReady: the clients are not installed.
        SiemFault: nothing answers, or something that is none of ours.
    """
    try:
        return SINKS[target.product](target) if target.product else _found_out(target)
    except ModuleNotFoundError as error:
        raise NotReady(
            f"the client {error.name} is not installed",
            remedy="pip install 'homerange[siem]'  brings those of all SIEMs",
        ) from error


def _found_out(target: Target) -> Sink:
    """Ask as each product's own client would, one after the other.

    Raises:
        SiemFault: nothing answers, or something that is none of them.
    """
    for product in ("elasticsearch", "opensearch"):
        sink = SINKS[product](replace(target, name=product))
        try:
            sink.meet()
        except SiemFault as error:
            sink.close()
            if not isinstance(error, WrongProduct):
                raise
        else:
            return sink
    return SINKS["splunk"](replace(target, name="splunk"))
