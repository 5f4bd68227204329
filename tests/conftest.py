"""What holds for every test: one thread of arithmetic, and no skip that nobody sees."""

import os

import pytest

# Before anything loads torch or NumPy: two cores are shared by tests and their children.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_skipped = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that continuous integration sets."""
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail if a test is skipped, those marked gpu excepted",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no skipped test."""
    config.stash[_skipped] = []
    config.pluginmanager.register(_SkipCounter(config), "skip-counter")


class _SkipCounter:
    """Notes what was skipped, and fails the session for it if it was told to."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._strict = bool(config.getoption("--no-skips"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        expected = hasattr(report, "wasxfail") or "gpu" in report.keywords
        if report.skipped and not expected:
            self._config.stash[_skipped].append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._config.stash[_skipped].append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._strict and self._config.stash[_skipped] and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._strict and self._config.stash[_skipped]:
            terminalreporter.section("skipped, which is a failure here")
            for name in self._config.stash[_skipped]:
                terminalreporter.line(name)
