"""Print the OpenAPI document as it is committed: `python -m service.openapi > openapi.json`.

It is the one of a service that demands keys: what it says of them is left out elsewhere.
"""

from __future__ import annotations

import sys

from service.api.document import render
from service.app import create_app
from service.settings import Settings

if __name__ == "__main__":
    sys.stdout.write(render(create_app(Settings(require_keys=True))))
