"""What the Docker client and its HTTP library raise, as our errors."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import docker
import docker.errors
import requests
import requests.exceptions

from lab.errors import DiskFull, EngineFault, EngineSlow, EngineUnreachable, LabError, NameTaken, NoRights

HTTP_CONFLICT: Final = 409


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what docker and its HTTP client raise into what our callers know.

    Raises:
        EngineUnreachable: nothing answers on the socket.
        NoRights: the socket is not for this user.
        NameTaken: somebody else has the name.
        DiskFull: the engine says that no space is left.
        EngineSlow: no answer within the time-out.
        EngineFault: anything else the engine said, in its own words.
    """
    begun = time.monotonic()
    try:
        yield
    except (requests.exceptions.RequestException, docker.errors.DockerException, OSError) as error:
        if any(isinstance(it, requests.exceptions.Timeout | TimeoutError) for it in _chain(error)):
            waited = time.monotonic() - begun
            raise EngineSlow(doing=doing, said=f"the engine did not answer within {waited:.0f} s") from error
        raise fault(error, doing) from error


def fault(error: Exception, doing: str) -> LabError:
    """Say what an exception of the client library means to us."""
    said = getattr(error, "explanation", None) or str(error)
    if "No space left on device" in said:
        return DiskFull(f"{doing}: no space left", remedy="lab prune  removes images that are not used.")
    if isinstance(error, docker.errors.APIError):
        taken = error.status_code == HTTP_CONFLICT and "is already in use" in said
        return (NameTaken if taken else EngineFault)(doing=doing, said=said)
    if _has_cause(error, errno.EACCES):
        return NoRights(
            "this user may not use Docker's socket",
            remedy="sudo usermod -aG docker $USER  and log in again, or run as root.",
        )
    if isinstance(error, requests.exceptions.ConnectionError | docker.errors.DockerException | OSError):
        return EngineUnreachable(
            "Docker does not answer", remedy="Is it running?  lab doctor --fix  installs and starts it."
        )
    return EngineFault(doing=doing, said=said)


def _has_cause(error: BaseException, number: int) -> bool:
    """Tell whether an errno is anywhere in the chain; docker wraps it several times, as text at last."""
    return any(getattr(it, "errno", None) == number or os.strerror(number) in str(it) for it in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
