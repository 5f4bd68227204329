"""Forms are taken from our own pages alone.

A page of another site can have a browser post a form here, with whatever the browser may reach:
this machine. JSON is safe from that, since a browser asks first; a plain form is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from service.problems import ProblemError


def check_same_site(headers: Mapping[str, str]) -> None:
    """Make sure that a form was sent by a page of this service.

    Args:
        headers: Of the request, by lower-case name.

    Raises:
        ProblemError: `cross_site`; it came from elsewhere, or does not say whence.
    """
    said = headers.get("sec-fetch-site")
    if said is not None and said != "same-origin":
        raise _refused()
    origin = headers.get("origin") or headers.get("referer")
    if origin is None:
        if said is None:
            raise _refused()
        return
    if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise _refused()


def _refused() -> ProblemError:
    detail = "This form was not sent by a page of this service. Programs post JSON to /v1."
    return ProblemError("cross_site", detail)
