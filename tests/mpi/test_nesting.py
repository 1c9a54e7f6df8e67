"""Laws of verbs within verbs, of threads, and of communicators side by side."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mpi4py import MPI

import mpicomp
from mpicomp import ConcurrentCallError, options, pany, parray, plist, pmap, pmin, preduce, psum
from tests.mpi.laws import WAYS, holds, raised, rank_of, still_works, together

WORLD = MPI.COMM_WORLD


def split(color: int, key: int = 0) -> MPI.Intracomm:
    group = WORLD.Split(int(color), key)
    assert isinstance(group, MPI.Intracomm)
    return group


def triangle(x: int) -> Any:
    return psum(y for y in range(x))


# a verb inside an item runs serially, on that rank


def test_a_verb_inside_an_item() -> None:
    for schedule, name in WAYS:
        root = rank_of(name)
        holds(plist((triangle(x) for x in range(20)), schedule=schedule, root=root),
              [sum(range(x)) for x in range(20)], root)  # fmt: skip
    holds(plist(plist(x * y for y in range(x)) for x in range(9)),
          [[x * y for y in range(x)] for x in range(9)])  # fmt: skip


def test_three_deep_and_with_a_collective_of_every_kind() -> None:
    deep = plist(plist(plist(x + y + z for z in [1]) for y in [2]) for x in range(9))
    holds(deep, [[[x + 3]] for x in range(9)])
    got = plist(float(parray(x * y for y in range(4)).sum()) for x in range(9))  # type: ignore[union-attr]  # serial: never None
    holds(got, [6.0 * x for x in range(9)])
    holds(plist(pany(y == x for y in iter(range(5))) for x in range(9)), [x < 5 for x in range(9)])


def test_its_value_is_there_whatever_root_and_communicator_it_names() -> None:
    got = plist(psum((y for y in range(x)), root=WORLD.size - 1, comm=WORLD) for x in range(9))
    holds(got, [sum(range(x)) for x in range(9)])
    with options(schedule="static,1", root=None):
        holds(plist(triangle(x) for x in range(9)), [sum(range(x)) for x in range(9)], None)


def test_its_error_is_the_items() -> None:
    error = raised(lambda: plist(psum(1 // (x - 5) for _ in range(3)) for x in range(9)))
    assert type(error) is ZeroDivisionError
    assert any("item 5 (x=5)" in note for note in error.__notes__)
    got = plist((psum(1 // (x - 5) for _ in range(3)) for x in range(9)), errors="return")
    if WORLD.rank == 0:
        assert [type(value).__name__ for value in got or ()] == [
            "ZeroDivisionError" if x == 5 else "int" for x in range(9)
        ]


def test_a_verb_inside_a_function_that_the_call_is_given() -> None:
    holds(pmin((x for x in range(20)), key=lambda x: triangle(abs(x - 7))), 6)  # the first of 0
    holds(preduce(lambda a, b: psum(x for x in (a, b)), (x for x in range(100))), 4950)
    holds(pmap(triangle, range(9)), [sum(range(x)) for x in range(9)])
    holds(pmap(lambda chunk: plist(x + 1 for x in chunk), range(9), batched=True), [*range(1, 10)])


def test_a_verb_inside_the_source() -> None:
    def numbers() -> Iterator[int]:
        yield from plist(x * x for x in range(9)) or ()

    holds(plist(x + 1 for x in numbers()), [x * x + 1 for x in range(9)])
    holds(plist(x + 1 for x in map(triangle, range(9))), [sum(range(x)) + 1 for x in range(9)])
    holds(plist(x for x in plist((x * x for x in range(9)), root=None) or ()),
          [x * x for x in range(9)])  # fmt: skip


# threads


def test_a_second_thread_is_refused_while_the_first_is_in_a_call() -> None:
    refused: list[BaseException] = []

    def call() -> None:
        try:
            plist(x for x in range(3))
        except ConcurrentCallError as error:
            refused.append(error)

    def ask(x: int) -> int:
        thread = threading.Thread(target=call, name="the second")
        thread.start()
        thread.join()
        return x

    gen = (ask(x) for x in range(WORLD.size))
    holds(plist(gen, schedule="static", effects="ignore"), [*range(WORLD.size)])
    if WORLD.size > 1:
        together(len(refused) == 1, f"{refused}")
        assert "'the second'" in str(refused[0])
        assert isinstance(refused[0], RuntimeError)
    still_works()


def test_a_call_may_come_from_any_thread_after_the_other() -> None:
    found: list[Any] = []
    for _ in range(3):
        thread = threading.Thread(
            target=lambda: found.append(plist((x for x in range(9)), root=None))
        )
        thread.start()
        thread.join()
    together(found == [[*range(9)]] * 3, str(found))


# communicators


def test_groups_compute_side_by_side() -> None:
    group = split(WORLD.rank % 2, -WORLD.rank)
    for root in (0, group.size - 1, None):
        xs = [*range(10 + WORLD.rank % 2)]
        holds(plist((x * x for x in xs), comm=group, root=root), [x * x for x in xs], root, group)
    with options(comm=group):
        error = None
        try:
            plist(1 // (x - 3 * (WORLD.rank % 2)) for x in range(1, 9))
        except ZeroDivisionError as caught:
            error = caught
        together((error is not None) == bool(WORLD.rank % 2), repr(error))
        holds(psum(x for x in range(9)), 36, 0, group)
    group.Free()
    still_works()


def test_some_ranks_call_while_others_do_not() -> None:
    group = WORLD.Split(0 if WORLD.rank < 2 else MPI.UNDEFINED)
    if isinstance(group, MPI.Intracomm) and group != MPI.COMM_NULL:
        assert plist((x for x in range(9)), comm=group, root=None) == [*range(9)]
        group.Free()
    still_works()


def test_ranks_in_another_order() -> None:
    backwards = split(0, -WORLD.rank)
    got = plist((WORLD.rank for _ in range(WORLD.size)), comm=backwards, schedule="static,1")
    holds(got, [*reversed(range(WORLD.size))], 0, backwards)
    backwards.Free()


@pytest.mark.parametrize("make", [
    lambda: WORLD.Split_type(MPI.COMM_TYPE_SHARED), lambda: WORLD.Dup(),
    lambda: WORLD.Create_cart([WORLD.size]), lambda: WORLD.Create_group(WORLD.group),
], ids=["node", "dup", "cart", "group"])  # fmt: skip
def test_any_intracommunicator(make: Callable[[], MPI.Intracomm]) -> None:
    comm = make()
    holds(plist((x * x for x in [*range(9)]), comm=comm), [x * x for x in range(9)], 0, comm)
    comm.Free()


def test_messages_of_the_users_are_left_alone() -> None:
    """One that waits for anything, from anyone, is not answered by a verb."""
    inbox = bytearray(8)
    waiting = WORLD.Irecv([inbox, MPI.BYTE], MPI.ANY_SOURCE, MPI.ANY_TAG)
    for schedule, name in WAYS:
        root = rank_of(name)
        holds(plist((str(x) for x in [*range(99)]), schedule=schedule, root=root),
              [*map(str, range(99))], root)  # fmt: skip
        holds(pany((x == 50 for x in range(10**9)), schedule=schedule, root=root), True, root)
        holds(plist((x for x in iter([*range(50)])), schedule=schedule, root=root),
              [*range(50)], root)  # fmt: skip
        together(not waiting.Test(), "a message of a verb was taken for the user's")
    WORLD.Send([b"a letter", MPI.BYTE], (WORLD.rank + 1) % WORLD.size, 12345)
    waiting.Wait()
    assert inbox == b"a letter"


def test_and_unexpected_ones_too() -> None:
    sent = WORLD.isend("a letter", (WORLD.rank + 1) % WORLD.size, tag=3)
    still_works()
    assert WORLD.recv(source=MPI.ANY_SOURCE, tag=MPI.ANY_TAG) == "a letter"
    sent.wait()


def test_many_communicators_one_after_the_other() -> None:
    """More than MPICH has (some 2000 at once), were the private ones kept."""
    for turn in range(200):
        comm = WORLD.Dup()
        got = plist((x + turn for x in [1, 2, 3]), comm=comm)
        if turn % 50 == 0:
            holds(got, [1 + turn, 2 + turn, 3 + turn], 0, comm)
        comm.Free()
    still_works()


def test_a_world_is_made_once_for_a_communicator_and_goes_with_it() -> None:
    comm = WORLD.Dup()
    assert mpicomp.world(comm) is mpicomp.world(comm)
    assert mpicomp.world(comm).size == WORLD.size
    private = mpicomp.world(comm).comm
    assert private is not None
    assert MPI.Comm.Compare(private, comm) == MPI.CONGRUENT
    comm.Free()
    gc.collect()
    assert mpicomp.world().size == mpicomp.world(WORLD).size == WORLD.size


def test_inside_a_group_of_one_it_is_serial_too() -> None:
    """However many ranks a group has: else the others would be waited for."""
    group = split(WORLD.rank == 0)
    got = plist((triangle(x) for x in range(3 + group.size)), comm=group, root=None)
    together(got == [sum(range(x)) for x in range(3 + group.size)]
             if group.size == 1 else True, str(got))  # fmt: skip
    group.Free()
    still_works()
