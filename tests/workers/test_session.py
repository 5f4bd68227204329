"""One device, one child."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.places import Places
from tuner.records import Inspect, Request, StepTiming
from workers import exit_class
from workers.executor import AttemptFailed, Finished, Lost
from workers.locks import DeviceLock
from workers.session import DeviceSession
from workers.warm import ChildLost

from .conftest import CPU, Bench, eventually, is_alive, study_run, training_run, workload


def test_a_child_stays_warm_within_a_job(bench: Bench) -> None:
    """Consecutive requests of one job run in the same process."""
    assert bench.session.slot().child_pid is None
    first, second = bench.facts(bench.inspect()), bench.facts(bench.inspect())
    assert first["pid"] == second["pid"] == str(bench.pid)
    assert (first["served"], second["served"]) == ("1", "2")
    assert bench.session.slot().child_restarts == 0


def test_another_job_gets_another_child(bench: Bench) -> None:
    """Nothing of one job is there in the next."""
    first, second = bench.facts(bench.inspect()), bench.facts(bench.inspect(job="other"))
    assert first["pid"] != second["pid"]
    assert second["served"] == "1"
    assert bench.session.slot().child_restarts == 1
    eventually(lambda: not is_alive(int(first["pid"])))


def test_other_places_get_another_child(bench: Bench, tmp_path: Path) -> None:
    """A child never works with the folders of an earlier configuration."""
    bench.inspect()
    bench.places = Places(artifacts=tmp_path / "elsewhere")
    facts = bench.facts(bench.inspect())
    assert facts["artifacts"] == str(tmp_path / "elsewhere")
    assert facts["served"] == "1"


def test_a_memory_trial_has_a_fresh_child_and_so_has_what_follows(bench: Bench) -> None:
    """A trial's allocator has seen nothing before, and nothing is measured after it."""
    pids = []
    for measure in (bench.inspect, bench.trial, bench.trial, bench.inspect, bench.inspect):
        assert isinstance(measure(), Finished)
        pids.append(bench.pid)
    assert len(set(pids[:4])) == 4
    assert pids[3] == pids[4]


@pytest.mark.parametrize("run", [training_run, study_run])
def test_out_of_memory_is_a_result_and_the_next_child_is_new(
    bench: Bench, run: Callable[[str], Request]
) -> None:
    """A run that hit the limit is answered; the next one starts clean."""
    update = bench.measure(run("out_of_memory"))
    assert isinstance(update, Finished)
    assert update.result.outcome == "out_of_memory"
    before = bench.pid
    assert bench.facts(bench.inspect())["served"] == "1"
    assert bench.pid != before


def test_a_memory_trial_killed_by_the_kernel_is_out_of_memory(bench: Bench) -> None:
    """SIGKILL during a trial is its result; elsewhere it is a crash."""
    update = bench.trial("die", int(signal.SIGKILL), size=4)
    assert isinstance(update, Finished)
    assert update.result.out_of_memory
    assert update.result.micro_batch_size == 4
    assert isinstance(bench.inspect("die", int(signal.SIGKILL)), Lost)


def test_a_fault_of_the_workload_carries_the_user_s_traceback(bench: Bench) -> None:
    """The problem says where, and shows the user's own lines; the child is replaced."""
    bench.inspect()
    before = bench.pid
    update = bench.inspect("fault", "no such column")
    assert isinstance(update, AttemptFailed)
    assert (update.problem.code, update.problem.pointer) == ("invalid_workload", "/model")
    assert update.problem.traceback is not None
    assert "_user_code" in update.problem.traceback
    assert "ValueError: no such column" in update.problem.traceback
    assert bench.facts(bench.inspect())["pid"] != str(before)


@pytest.mark.parametrize(
    ("act", "argument", "words"),
    [
        ("die", int(signal.SIGKILL), "SIGKILL"),
        ("die", int(signal.SIGSEGV), "SIGSEGV"),
        ("exit", 3, "exit code 3"),
        ("leave", 0, "exit code 0"),
        ("leave", "a reason", "exit code 1"),
        ("raise", "odd", "RuntimeError: odd"),
        ("print", "last\nwords", "last\nwords"),
        ("close_descriptors", None, "The process that measures"),
    ],
)
def test_a_child_that_ends_without_an_answer_is_lost_with_its_reason(
    bench: Bench, act: str, argument, words: str
) -> None:
    """Every end is told with its last lines, and the next request works."""
    update = bench.inspect(act, argument)
    assert isinstance(update, Lost)
    assert update.cause == "crashed"
    assert words in update.detail
    assert update.device_seconds > 0.0
    assert isinstance(bench.inspect(), Finished)


def test_what_an_earlier_request_printed_is_not_told_of_a_later_one(bench: Bench) -> None:
    """The last lines belong to the attempt that was lost."""
    assert "first words" in bench.inspect("print", "first words").detail
    assert "first words" not in bench.inspect("exit", 3).detail


def test_a_warm_child_killed_while_idle_is_replaced(bench: Bench) -> None:
    """The next request does not notice."""
    bench.inspect()
    before = bench.pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{before}").exists())
    assert isinstance(bench.inspect(), Finished)
    assert bench.pid != before


def test_a_killed_keeper_takes_its_child_along_and_is_replaced(bench: Bench) -> None:
    """Without its keeper a child does not live on, and the session starts another."""
    bench.inspect()
    before = bench.pid
    keeper = int(Path(f"/proc/{before}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    eventually(lambda: not is_alive(before))
    assert isinstance(bench.inspect(), Finished)
    assert bench.pid != before


@pytest.mark.parametrize("act", ["spin", "ignore_sigterm", "hold_interpreter"])
def test_cancel_ends_a_child_that_does_not_listen(bench: Bench, tmp_path: Path, act: str) -> None:
    """An endless loop, a deaf process and one deep in C are all gone when measure returns."""
    request = Inspect(id="endless", workload=workload(act, str(tmp_path / "pid")))
    attempt = bench.attempt(request)
    updates = []
    thread = threading.Thread(
        target=lambda: updates.append(bench.session.measure(attempt, request, bench.places))
    )
    thread.start()
    pid = int(eventually(lambda: _text(tmp_path / "pid")))
    assert bench.session.slot().busy_with == attempt
    bench.session.cancel(attempt)
    thread.join()
    assert not is_alive(pid)
    assert isinstance(updates[0], Lost)
    assert updates[0].cause == "withdrawn"
    assert bench.session.slot().busy_with is None
    assert isinstance(bench.inspect(), Finished)


def test_an_attempt_cancelled_before_it_starts_is_withdrawn(bench: Bench) -> None:
    """No child is started for it, and the next attempt is not affected."""
    request = Inspect(id="early", workload=workload())
    attempt = bench.attempt(request)
    bench.session.expect(attempt)
    bench.session.cancel(attempt)
    update = bench.session.measure(attempt, request, bench.places)
    assert isinstance(update, Lost)
    assert update.cause == "withdrawn"
    assert bench.session.slot().child_pid is None
    assert isinstance(bench.inspect(), Finished)


def test_a_cancel_for_another_attempt_does_nothing(bench: Bench) -> None:
    """Late cancels never hit what runs now."""
    request = training_run("await_limit")
    attempt, older = bench.attempt(request), bench.attempt(request)
    updates = []
    thread = threading.Thread(
        target=lambda: updates.append(bench.session.measure(attempt, request, bench.places))
    )
    thread.start()
    eventually(lambda: bench.session.slot().child_pid)
    bench.session.cancel(older)
    bench.session.tighten(older, 1)
    _tighten_until_done(bench, attempt, thread, 40)
    assert isinstance(updates[0], Finished)
    assert updates[0].result.limit_applied == 40


def test_descendants_of_a_cancelled_child_are_gone_too(bench: Bench, tmp_path: Path) -> None:
    """Neither a session of its own nor a daemon outlives the child."""
    request = Inspect(id="r", workload=workload("leave_descendants", str(tmp_path / "pids")))
    attempt = bench.attempt(request)
    thread = threading.Thread(target=bench.session.measure, args=(attempt, request, bench.places))
    thread.start()
    pids = [int(pid) for pid in eventually(lambda: _text(tmp_path / "pids")).split()]
    assert all(is_alive(pid) for pid in pids)
    bench.session.cancel(attempt)
    thread.join()
    assert [pid for pid in pids if is_alive(pid)] == []


@pytest.mark.parametrize(
    ("limit", "request_"),
    [
        ("STUCK_GRACE_SECONDS", training_run("sleep", 60, deadline_seconds=0.05)),
        ("REQUEST_LIMIT_SECONDS", Inspect(id="i", workload=workload("sleep", 60))),
    ],
)
def test_a_stuck_child_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: str, request_
) -> None:
    """What takes longer than it may is lost as crashed, and says so."""
    monkeypatch.setattr(exit_class, limit, 0.1)
    update = bench.measure(request_)
    assert isinstance(update, Lost)
    assert update.cause == "crashed"
    assert "too long" in update.detail
    assert bench.session.slot().child_pid is None
    assert isinstance(bench.inspect(), Finished)


def test_a_warm_child_answers_an_empty_request(bench: Bench) -> None:
    """A ping is answered by the child that is there; without one it is an error."""
    with pytest.raises(ChildLost):
        bench.session.ping()
    bench.inspect()
    before = bench.pid
    assert bench.session.ping() > 0.0
    assert bench.pid == before


def test_a_session_that_was_closed_starts_again(bench: Bench) -> None:
    """Closing leaves no process and lets go of the lock; a later request starts anew."""
    bench.inspect()
    before = bench.pid
    bench.session.close()
    assert not is_alive(before)
    assert bench.session.slot().child_pid is None
    assert isinstance(bench.inspect(), Finished)


def test_measuring_code_that_cannot_be_loaded_is_told(tmp_path: Path, fake_setup) -> None:
    """The loss carries the import error."""
    setup = replace(fake_setup, measuring="no_such_module:Measuring")
    session = DeviceSession(CPU, setup=setup, lock_folder=tmp_path)
    update = Bench(session, Places(artifacts=tmp_path)).inspect()
    session.close()
    assert isinstance(update, Lost)
    assert update.cause == "crashed"
    assert "did not start" in update.detail
    assert "No module named 'no_such_module'" in update.detail


def test_a_card_held_elsewhere_is_refused_and_the_processor_is_shared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A second service cannot claim a card; on the processor it is warned, once."""
    card = replace(CPU, id="cuda:0", accelerator="cuda", visible_devices="GPU-1")
    held = [DeviceLock(tmp_path, name) for name in ("GPU-1", "cpu")]
    assert all(lock.acquire() for lock in held)
    assert not DeviceSession(card, lock_folder=tmp_path).claim()
    shared = DeviceSession(CPU, lock_folder=tmp_path)
    assert shared.claim()
    assert shared.claim()
    assert len(caplog.records) == 1
    for lock in held:
        lock.release()


def test_the_lock_is_held_by_the_child_and_free_after_close(bench: Bench, tmp_path: Path) -> None:
    """A device is claimed for as long as anything of its session lives."""
    rival = DeviceLock(tmp_path / "locks", "cpu")
    assert bench.session.claim()
    bench.inspect()
    assert not rival.acquire()
    bench.session.close()
    assert rival.acquire()
    rival.release()


def test_step_timings_keep_the_child(bench: Bench) -> None:
    """What did not fail and filled no memory leaves the child warm."""
    timing = StepTiming(id="t", workload=workload(), micro_batch_sizes=(1,))
    assert isinstance(bench.measure(timing), Finished)
    before = bench.pid
    assert isinstance(bench.measure(training_run()), Finished)
    assert bench.pid == before


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _tighten_until_done(bench: Bench, attempt, thread: threading.Thread, steps: int) -> None:
    """Tighten again until the run has heard it: what comes before its request is dropped."""

    def heard() -> bool:
        bench.session.tighten(attempt, steps)
        thread.join(0.01)
        return not thread.is_alive()

    eventually(heard)
