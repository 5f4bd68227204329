"""Runs the steps of a composite action as GitHub's runner does, as far as ours use it."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
BASH = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
FROM_FORK = "github.event.pull_request.head.repo.fork"
NAME = r"[A-Za-z_][A-Za-z0-9_-]*"


@dataclass(kw_only=True)
class Job:
    """A job on a runner: its folders, its files, and what its steps have put out.

    Args:
        root: An empty folder.
        from_fork: Whether it runs for a pull request of a fork.
        environment: More variables that the workflow has set.
    """

    root: Path
    from_fork: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    log: str = ""

    def __post_init__(self) -> None:
        """Make the folders."""
        for folder in (self.workspace, self.temporary):
            folder.mkdir(exist_ok=True)

    @property
    def workspace(self) -> Path:
        """Where the caller's repository lies."""
        return self.root / "workspace"

    @property
    def temporary(self) -> Path:
        """The runner's folder for what is thrown away."""
        return self.root / "temp"

    @property
    def summary(self) -> str:
        """The job summaries of all steps."""
        return "".join(file.read_text() for file in sorted(self.root.glob("*.GITHUB_STEP_SUMMARY")))

    def use(self, action_path: Path, **given: str) -> int:
        """Run the action's steps until one fails.

        Args:
            action_path: Where the action's repository lies.
            given: Inputs, with `_` for `-`.

        Returns:
            The exit code of the last step that ran.
        """
        named = {name.replace("_", "-"): value for name, value in given.items()}
        unknown = named.keys() - ACTION["inputs"].keys()
        assert not unknown, f"the action has no inputs {unknown}"
        inputs = {name: named.get(name, one.get("default", "")) for name, one in _inputs().items()}
        for number, step in enumerate(ACTION["runs"]["steps"]):
            code = self._run(number, step, inputs, action_path)
            if code:
                return code
        return 0

    def result(self) -> dict[str, str]:
        """The outputs of the action, as its caller sees them."""
        return {
            name: evaluated(one["value"], {}, self.outputs, from_fork=self.from_fork)
            for name, one in ACTION["outputs"].items()
        }

    def _run(
        self, number: int, step: Mapping[str, Any], inputs: Mapping[str, str], action_path: Path
    ) -> int:
        def put(text: str) -> str:
            return evaluated(text, inputs, self.outputs, from_fork=self.from_fork)

        files = {
            name: self.root / f"{number}.{name}"
            for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH")
        }
        for file in files.values():
            file.touch()
        script = self.root / f"{number}.sh"
        script.write_text(put(step["run"]), encoding="utf-8")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_ACTION_PATH": str(action_path),
            "RUNNER_TEMP": str(self.temporary),
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
            **{name: str(file) for name, file in files.items()},
            **self.environment,
            **{name: put(value) for name, value in step.get("env", {}).items()},
        }
        ended = subprocess.run(
            [*BASH, str(script)],
            cwd=self.workspace / put(step.get("working-directory", ".")),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.log += ended.stdout + ended.stderr
        self.outputs[step["id"]] = outputs_of(files["GITHUB_OUTPUT"].read_text(encoding="utf-8"))
        assert files["GITHUB_ENV"].read_text() == files["GITHUB_PATH"].read_text() == ""
        return ended.returncode


def evaluated(
    text: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, str]],
    *,
    from_fork: bool,
) -> str:
    """Replace the expressions of a text, those that action.yml uses; any other is an error."""

    def value(match: re.Match[str]) -> str:
        expression = match[1]
        if found := re.fullmatch(rf"inputs\.({NAME})", expression):
            return inputs[found[1]]
        if found := re.fullmatch(rf"steps\.({NAME})\.outputs\.({NAME})", expression):
            return outputs.get(found[1], {}).get(found[2], "")
        if expression == FROM_FORK:
            return "true" if from_fork else ""
        raise AssertionError(f"an expression that this runner does not know: {expression}")

    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", value, text)


def outputs_of(text: str) -> dict[str, str]:
    """Read what a step wrote to GITHUB_OUTPUT: `name=value`, or `name<<END`, lines, `END`."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if plain := re.fullmatch(rf"({NAME})=(.*)", line):
            found[plain[1]] = plain[2]
            continue
        several = re.fullmatch(rf"({NAME})<<(\S+)", line)
        assert several, f"the runner refuses the line {line!r}"
        content: list[str] = []
        for inner in lines:
            if inner == several[2]:
                break
            content.append(inner)
        else:
            raise AssertionError(f"{several[2]} does not come")
        found[several[1]] = "\n".join(content)
    return found


def _inputs() -> Mapping[str, Mapping[str, str]]:
    inputs: Mapping[str, Mapping[str, str]] = ACTION["inputs"]
    return inputs
