"""What a browser may do with a page of ours: as little as it needs.

Nothing comes from elsewhere and nothing inline runs or styles. Plotly keeps to that too: it adds
its rules to a stylesheet that is there already (`base.html` gives one the id it looks for), and
sets styles of elements through the object model, which the policy does not restrict; where it
writes a style as an attribute, `page.js` makes a property of it. Heat maps are `data:` images.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import HTMLResponse

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Authorization",
}
"""Of every page. A page shows what a key opens, so that no cache keeps it. The referrer stays
within the service: a form is known to come from here by it where a browser says nothing else."""


class PageResponse(HTMLResponse):
    """A page, or a part of one, with what a browser may do with it.

    Args:
        content: The HTML.
        status_code: Of the response.
        headers: More of them.
    """

    def __init__(
        self, content: str, status_code: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(content, status_code=status_code, headers={**HEADERS, **(headers or {})})
