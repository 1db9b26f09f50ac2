"""A Trio program in a thread of its own, for callers that are not on Trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, TypeVar

import trio

T = TypeVar("T")

_PATIENCE_SECONDS = 10.0


class TrioThread:
    """A program that runs in a thread; made by ``trio_thread``."""

    def __init__(self, token: trio.lowlevel.TrioToken, ended: Future[None]) -> None:
        self._token = token
        self._ended = ended

    def call(self, act: Callable[[], T]) -> T:
        """Do this between two steps of the program, and give what comes of it."""
        answer: Future[T] = Future()

        def perform() -> None:
            try:
                answer.set_result(act())
            except Exception as error:
                answer.set_exception(error)

        try:
            self._token.run_sync_soon(perform)
        except trio.RunFinishedError:
            return act()
        return answer.result()

    def join(self, timeout_seconds: float | None) -> None:
        """Wait until the program ends by itself; raises what it raised, or TimeoutError."""
        self._ended.result(timeout_seconds)


@contextmanager
def trio_thread(main: Callable[..., Awaitable[Any]], name: str) -> Iterator[TrioThread]:
    """Run ``main`` for as long as the block lasts, then cancel it.

    It is started as by ``nursery.start``: the block begins when it says so. What it raises is
    raised here, when the block ends at the latest. Raises TimeoutError if it does not end within
    10 s after it was cancelled.
    """
    began: Future[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = Future()
    ended: Future[None] = Future()

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(main)
            began.set_result((trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    def live() -> None:
        try:
            trio.run(run)
        except (Exception, BaseExceptionGroup) as error:  # whoever waits raises it
            if not began.done():
                began.set_exception(error)
            ended.set_exception(error)
        else:
            ended.set_result(None)

    thread = Thread(target=live, name=name, daemon=True)
    thread.start()
    token, scope = began.result()
    try:
        yield TrioThread(token, ended)
    finally:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(scope.cancel)
        ended.result(_PATIENCE_SECONDS)
        thread.join()
