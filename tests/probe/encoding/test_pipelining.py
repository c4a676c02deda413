"""Work beside the model: one step ahead, one behind, in order, and no fault is lost."""

import threading
from collections.abc import Callable, Iterator

import pytest

from probe.encoding.pipelining import ahead, behind


def test_the_next_item_is_made_while_one_is_in_use() -> None:
    second = threading.Event()

    def numbers() -> Iterator[int]:
        yield 0
        second.set()
        yield from range(1, 4)

    found = ahead(numbers())
    assert next(found) == 0
    assert second.wait(timeout=10)
    assert list(found) == [1, 2, 3]


def test_a_fault_in_reading_ahead_reaches_the_caller() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise RuntimeError("corpus gone")

    found = ahead(numbers())
    assert next(found) == 1
    with pytest.raises(RuntimeError, match="corpus gone"):
        next(found)


def test_a_call_is_made_while_the_next_one_is_prepared() -> None:
    prepared = threading.Event()

    def calls() -> Iterator[Callable[[], object]]:
        yield lambda: prepared.wait(timeout=10)
        prepared.set()
        yield threading.current_thread

    waited, thread = behind(calls())
    assert waited
    assert thread is not threading.current_thread()


def test_at_most_one_call_waits() -> None:
    made, go = [], threading.Event()

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(5):
            made.append(number)
            yield lambda number=number: (go.wait(timeout=10), number)[1]

    found = behind(calls())
    caller = threading.Thread(target=lambda: made.append(-next(found)))
    caller.start()
    caller.join(timeout=0.5)
    assert made == [0, 1]
    go.set()
    caller.join()
    assert list(found) == [1, 2, 3, 4]


def test_a_fault_of_a_call_reaches_the_caller_in_its_turn() -> None:
    def fail() -> int:
        raise OSError("disk full")

    found = behind([lambda: 0, fail, lambda: 2])
    assert next(found) == 0
    with pytest.raises(OSError, match="disk full"):
        next(found)


def test_what_was_handed_over_is_finished_when_the_next_step_is_interrupted() -> None:
    done: list[int] = []

    def calls() -> Iterator[Callable[[], None]]:
        yield lambda: done.append(0)
        yield lambda: done.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(behind(calls()))
    assert done == [0, 1]
