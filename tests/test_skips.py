"""In continuous integration a skipped test is a failure, unless it needs a GPU."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parent / "conftest.py"

GPU_ONLY = """
import pytest

@pytest.mark.gpu
@pytest.mark.skip(reason="there is no card")
def test_card():
    pass

def test_passes():
    pass
"""

ANY_SKIP = """
import pytest

@pytest.mark.skip(reason="not today")
def test_something():
    pass

def test_passes():
    pass
"""

AT_IMPORT = """
import pytest

pytest.importorskip("there_is_no_such_module")
"""


@pytest.mark.parametrize(
    ("source", "arguments", "code"),
    [
        (GPU_ONLY, ["--no-skips"], pytest.ExitCode.OK),
        (ANY_SKIP, [], pytest.ExitCode.OK),
        (ANY_SKIP, ["--no-skips"], pytest.ExitCode.TESTS_FAILED),
    ],
)
def test_skips_fail_where_they_must(
    pytester: pytest.Pytester, source: str, arguments: list[str], code: pytest.ExitCode
) -> None:
    """A skip fails the session exactly if it is not a GPU's and the option is set."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(source)
    pytester.makeini("[pytest]\nmarkers = gpu: needs a card\n")
    assert pytester.runpytest_subprocess(*arguments).ret == code


def test_a_skipped_module_fails_too(pytester: pytest.Pytester) -> None:
    """A module that skips itself while it is collected does not go unseen."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(test_passes="def test_passes(): pass", test_absent=AT_IMPORT)
    run = pytester.runpytest_subprocess("--no-skips")
    assert run.ret == pytest.ExitCode.TESTS_FAILED
