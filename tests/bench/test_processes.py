from __future__ import annotations

import os
import time

import pytest

from tests.bench.processes import NUMBER, cpu_ns, process, said


def test_what_a_process_says() -> None:
    with process("-c", "print('one'); print(2)") as running:
        assert said(running, NUMBER) == "2"
        with pytest.raises(RuntimeError, match="failed"):
            said(running, NUMBER)


def test_an_error_tells_what_the_process_said() -> None:
    def fail() -> None:
        with process("-c", "print('so it is')") as running:
            running.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert "so it is" in caught.value.__notes__[0]


def test_the_cpu_time_of_a_process() -> None:
    before = time.process_time_ns()
    used = cpu_ns(os.getpid())
    assert before <= used <= time.process_time_ns()
