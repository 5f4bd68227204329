"""The page of a job with 1,000 trials in headless Chromium: painted, interactive, drawn.

    python benchmarks/page/bench.py [--runs 9]

The API is a process of its own; browser and API share the cores of the machine. Every run is a
fresh browser context without a cache. Asked: first contentful paint <= 1 s, interactive <= 2 s,
shipped script <= 600 kB by gzip.

Interactive is when the last task that kept the page busy for 50 ms or more has ended, drawing of
the figures in view included; later than the usual definition, which forgives such tasks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.page.stored import POINTS, TRIALS, fill_one  # noqa: E402
from service.pages.static import PLOTLY, TYPES, packed_bytes  # noqa: E402
from service.settings import Settings  # noqa: E402
from service.supervise import Supervisor  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "page.json"
BROWSER = ROOT / ".browser"
ASKED = {"first_paint_ms": 1000, "interactive_ms": 2000, "script_gzip_bytes": 600_000}
QUIET_MS = 1500

WATCH = """
window.busyUntil = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) {
    window.busyUntil = Math.max(window.busyUntil, task.startTime + task.duration);
  }
}).observe({ type: "longtask", buffered: true });
"""
TOLD = """
() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const loaded = performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
  return { paint, interactive: Math.max(paint, loaded, window.busyUntil), loaded,
           drawn: window.drawn, rows: document.querySelectorAll("#trial-table tbody tr").length };
}
"""
DRAWN = """
() => {
  if (!document.querySelector(".plot svg.main-svg")) return false;
  window.drawn ??= performance.now();
  return performance.now() - Math.max(window.drawn, window.busyUntil) > QUIET;
}
""".replace("QUIET", str(QUIET_MS))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    scripts = ROOT / "scripts"
    subprocess.run([scripts / "install-browser", sys.executable, BROWSER], check=True)
    subprocess.run([sys.executable, scripts / "fetch-plotly"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), runs)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def measure(folder: Path, runs: int) -> dict[str, Any]:
    """Open the page again and again.

    Args:
        folder: For the service's data.
        runs: How often.

    Returns:
        What is written down.
    """
    settings = Settings(data_dir=folder / "data", port=0)
    job_id = fill_one(settings)
    machine = machine_facts()
    api = Supervisor(settings, only="api")
    api.start()
    try:
        api.wait_ready()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=BROWSER / "bin" / "chromium")
            address = f"{api.url}/jobs/{job_id}"
            first = visit(browser, address)  # the service draws, and packs its files, once
            visits = [visit(browser, address) for _ in range(runs)]
            version = browser.version
            browser.close()
    finally:
        api.stop()
    sizes = {name: packed_bytes(name) for name in TYPES}
    return {
        "machine": {**machine, "chromium": version},
        "job": {"trials": TRIALS, "points_of_each_curve": POINTS, "rows_shown": first["rows"]},
        "asked": ASKED,
        "runs": runs,
        "first_visit_ms": told([first]),
        "median_ms": told(visits),
        "all_ms": [told([one]) for one in visits],
        "gzip_bytes": sizes,
        "script_gzip_bytes": sizes["page.js"] + sizes[PLOTLY],
    }


def visit(browser: Browser, address: str) -> dict[str, float]:
    """Open the page once, with nothing in the cache, until it has been idle for a while."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(address)
    page.evaluate("document.getElementById('figures').scrollIntoView()")
    page.wait_for_function(DRAWN, timeout=60_000)
    found: dict[str, float] = page.evaluate(TOLD)
    page.close()
    return found


def told(visits: list[dict[str, float]]) -> dict[str, float]:
    """Medians over visits."""
    names = {"first_paint": "paint", "interactive": "interactive", "first_figure": "drawn"}
    return {
        name: round(statistics.median(one[key] for one in visits), 1) for name, key in names.items()
    }


if __name__ == "__main__":
    main()
