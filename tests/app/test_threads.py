"""A Trio program in a thread: it is there, does what it is told, and is gone."""

from __future__ import annotations

import threading

import pytest
import trio

from wsproxy.app import threads
from wsproxy.app.threads import trio_thread

NAME = "wsproxy test"

Status = trio.TaskStatus[None]


def is_running() -> bool:
    return any(thread.name == NAME for thread in threading.enumerate())


async def serve(task_status: Status = trio.TASK_STATUS_IGNORED) -> None:
    task_status.started()
    await trio.sleep_forever()


def test_it_runs_as_long_as_the_block() -> None:
    with trio_thread(serve, NAME) as thread:
        assert is_running()
        assert thread.call(lambda: threading.current_thread().name) == NAME
        with pytest.raises(ZeroDivisionError):
            thread.call(lambda: 1 // 0)
        with pytest.raises(TimeoutError):
            thread.join(0)
    assert not is_running()
    assert thread.call(lambda: threading.current_thread().name) != NAME


def test_it_may_end_by_itself() -> None:
    async def serve(task_status: Status = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()

    with trio_thread(serve, NAME) as thread:
        thread.join(10)


def test_what_it_raises_before_it_started_is_raised_at_once() -> None:
    async def serve(task_status: Status = trio.TASK_STATUS_IGNORED) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised, trio_thread(serve, NAME):
        pytest.fail("it never started")
    assert raised.group_contains(ZeroDivisionError)


def test_what_it_raises_later_is_raised_at_the_end() -> None:
    async def serve(task_status: Status = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        raise ZeroDivisionError

    def use() -> None:
        with trio_thread(serve, NAME) as thread:
            with pytest.raises(ExceptionGroup):
                thread.join(10)
            raise ValueError("what the block says of it")

    with pytest.raises(ExceptionGroup) as raised:
        use()
    assert raised.group_contains(ZeroDivisionError)
    assert isinstance(raised.value.__context__, ValueError)


def test_the_block_keeps_its_own_error() -> None:
    with pytest.raises(ValueError, match="mine"), trio_thread(serve, NAME):
        raise ValueError("mine")
    assert not is_running()


def test_what_does_not_end_is_not_waited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_PATIENCE_SECONDS", 0.01)
    release = threading.Event()

    async def serve(task_status: Status = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(release.wait)

    with pytest.raises(TimeoutError), trio_thread(serve, NAME) as thread:
        pass
    release.set()
    thread.join(10)
