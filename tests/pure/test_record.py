"""Timelines, what they come to, how they are drawn and kept."""

from __future__ import annotations

import contextlib
import json
import pickle
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.errors import MpicompError
from mpicomp.record.gantt import back_to_back, gantt
from mpicomp.record.picture import MissingExtra
from mpicomp.record.recording import Record, record, recording
from mpicomp.record.simulate import simulate
from mpicomp.record.summary import Summary
from mpicomp.record.timeline import EVENT, RecordError, Timeline, load, save
from mpicomp.record.units import counted, duration, evenly
from tests.launch import run_python

Events = list[tuple[int, int, int, int, float, float]]
eighths = st.integers(0, 80).map(lambda k: k / 8)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Any call: each rank computes runs of items, with gaps of any length between them."""
    ranks = draw(st.integers(1, 6))
    events: Events = []
    item = 0
    for rank in range(ranks):
        now = 0.0
        for gap, lasted, items, step in draw(
            st.lists(st.tuples(eighths, eighths, st.integers(1, 9), st.integers(1, 3)), max_size=4)
        ):
            begin, now = now + gap, now + gap + lasted
            events.append((rank, item, item + items * step, step, begin, now))
            item += items * step
    over = max([0.0, *(end for *_, end in events)])
    began = draw(eighths)
    return Timeline(
        draw(st.sampled_from(["plist", "psum"])),
        "static",
        "static",
        draw(st.text(max_size=5)),
        item,
        [f"node{rank // 2}" for rank in range(ranks)],
        ["message"] * ranks,
        began,
        began + over + draw(eighths),
        draw(st.permutations(events)),
    )


def example_call(events: Events | None = None, seconds: float = 4.0) -> Timeline:
    rows = [(0, 0, 2, 1, 0.0, 2.0), (0, 2, 3, 1, 2.5, 4.0), (1, 3, 4, 1, 0.5, 1.5)]
    return Timeline(
        "plist", "dynamic,2", "counter", "asked for", 4, ["a", "b"], ["memory", "message"],
        10.0, 10.0 + seconds, rows if events is None else events,
    )  # fmt: skip


# timelines


def test_a_timeline_keeps_its_facts() -> None:
    call = example_call(seconds=5.0)
    assert (call.verb, call.schedule, call.dispatch, call.reason) == (
        "plist", "dynamic,2", "counter", "asked for",
    )  # fmt: skip
    assert (call.n, call.ranks, call.hosts) == (4, 2, ("a", "b"))
    assert (call.seconds, call.makespan) == (5.0, 4.0)
    assert call.events.dtype == np.dtype(EVENT)
    assert call.items.tolist() == [2, 1, 1]


def test_a_timeline_is_frozen() -> None:
    call = example_call()
    with pytest.raises(AttributeError, match="frozen"):
        call.n = 5
    with pytest.raises(ValueError, match="read-only"):
        call.events["end"][0] = 9.0


@given(timelines())
def test_timelines_are_values(call: Timeline) -> None:
    again = pickle.loads(pickle.dumps(call))
    assert (again, hash(again)) == (call, hash(call))
    assert call != "call"


@pytest.mark.parametrize("field", Timeline.__match_args__)
def test_timelines_that_differ_in_one_fact_differ(field: str) -> None:
    call = example_call()
    given = {name: getattr(call, name) for name in Timeline.__match_args__}
    others = {"n": 5, "began": 0.0, "ended": 99.0, "hosts": "ac", "events": call.events[::-1]}
    assert Timeline(**given) == call
    assert Timeline(**given | {field: others.get(field, ["x", "y"])}) != call


@pytest.mark.parametrize(
    ("start", "stop", "step"), [(0, 10, 1), (0, 10, 3), (1, 11, 3), (5, 5, 1), (7, 8, 100)]
)
def test_items_of_a_run_are_those_of_its_range(start: int, stop: int, step: int) -> None:
    call = example_call([(0, start, stop, step, 0.0, 1.0)])
    assert call.items.tolist() == [len(range(start, stop, step))]


def test_events_beyond_32_bits() -> None:
    call = example_call([(0, 2**40, 2**62, 2, 0.0, 1.0)])
    assert call.items.tolist() == [2**61 - 2**39]


def test_an_array_of_events_is_taken_as_it_is() -> None:
    call = example_call()
    assert example_call(call.events) == call  # type: ignore[arg-type]  # beside what is documented


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hosts": ["a"]}, "1 hosts and 2 paths"),
        ({"events": [(2, 0, 1, 1, 0.0, 1.0)]}, "events of ranks 2 to 2, and 2 hosts"),
        ({"events": [(-1, 0, 1, 1, 0.0, 1.0)]}, "events of ranks -1 to -1"),
    ],
)
def test_facts_that_contradict_one_another(change: dict[str, object], said: str) -> None:
    call = example_call()
    given = {name: getattr(call, name) for name in Timeline.__match_args__}
    with pytest.raises(RecordError, match=said):
        Timeline(**(given | change))


# files


@given(calls=st.lists(timelines(), max_size=4))
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Timeline]
) -> None:
    path = tmp_path_factory.mktemp("record") / "run.data"  # the name is left as it is
    save(calls, path)
    assert load(path) == calls
    assert [one.calls[0] for one in Record.load(path)] == calls


def test_a_file_can_be_read_with_numpy_alone(tmp_path: Path) -> None:
    Record([example_call()]).save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:  # allow_pickle is off
        assert sorted(file.files) == ["calls", "events0"]
        facts = json.loads(str(file["calls"]))
        assert facts[0]["hosts"] == ["a", "b"]
        assert file["events0"]["begin"].tolist() == [0.0, 2.5, 0.5]


@pytest.mark.parametrize("content", ["text", "nothing", "array", "other"])
def test_a_file_that_is_no_record(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    with open(path, "wb") as file:
        if content == "text":
            file.write(b"not a record")
        elif content == "array":
            np.save(file, np.ones(3))
        elif content == "other":
            np.savez(file, calls=np.ones(3))
    with pytest.raises(RecordError, match=r"file.npz' is no record .*; write rec.save"):
        load(path)


def test_a_record_without_calls_writes_nothing(tmp_path: Path) -> None:
    Record().save(tmp_path / "run.npz")
    assert Record().plot(tmp_path / "run.png") is None
    assert list(tmp_path.iterdir()) == []


# summaries


@given(st.lists(timelines(), max_size=3))
def test_a_ranks_time_is_busy_or_overhead_or_idle(calls: list[Timeline]) -> None:
    total = Summary(calls)
    ranks = max((call.ranks for call in calls), default=0)
    assert total.ranks == len(total.busy) == len(total.chunks) == ranks
    for rank in range(ranks):
        mine = [row for call in calls for row in call.events if row["rank"] == rank]
        assert total.busy[rank] == sum(row["end"] - row["begin"] for row in mine)
        assert total.chunks[rank] == len(mine)
        within = [call for call in calls if rank < call.ranks]
        time = total.busy[rank] + total.overhead[rank] + total.idle[rank]
        assert time == sum(call.makespan for call in within)
    assert (total.overhead >= 0).all()
    assert (total.idle >= 0).all()
    assert total.items.sum() == sum(int(call.items.sum()) for call in calls)
    assert total.elapsed == sum(call.seconds for call in calls)


def test_numbers_by_hand() -> None:
    total = Summary([example_call(seconds=5.0)])
    assert total.busy.tolist() == [3.5, 1.0]
    assert total.overhead.tolist() == [0.5, 0.5]
    assert total.idle.tolist() == [0.0, 2.5]
    assert (total.items.tolist(), total.chunks.tolist()) == ([3, 1], [2, 1])
    assert (total.makespan, total.elapsed) == (4.0, 5.0)
    assert total.efficiency == 4.5 / 8
    assert total.imbalance == pytest.approx(3.5 / 2.25 - 1)
    assert total.cov == pytest.approx(1.25 / 2.25)


def test_perfect_balance() -> None:
    rows = [(rank, rank, rank + 1, 1, 0.0, 3.0) for rank in range(2)]
    total = Summary([example_call(rows)])
    assert (total.efficiency, total.imbalance, total.cov) == (1.0, 0.0, 0.0)


def test_a_summary_of_nothing() -> None:
    for total in (Summary([]), Summary([example_call([])])):
        assert (total.efficiency, total.imbalance, total.cov) == (1.0, 0.0, 0.0)
        assert "efficiency 1.000" in str(total)
    assert str(Summary([])).startswith("0 calls on 0 ranks, 0 items in 0 chunks")


def test_a_table_has_a_row_for_each_rank_as_long_as_they_are_few() -> None:
    few = str(simulate([1.0] * 32, "static", 16)).splitlines()
    assert [line.split()[0] for line in few[5:]] == [str(rank) for rank in range(16)]
    many = str(simulate(range(1000), "static", 1000)).splitlines()
    assert len(many) == 5 + 16 + 1
    assert (many[5].split()[0], many[-2].split()[0]) == ("0", "999")
    assert many[-1] == "(16 of 1000 ranks, from the least busy to the most)"


# recording


def test_nobody_records_unless_asked() -> None:
    assert recording() is None
    with record() as rec:
        assert recording() is rec
        assert rec  # so that `if recording():` would not be wrong either
    assert recording() is None


def test_records_nest() -> None:
    a, b, c = (example_call(seconds=seconds) for seconds in (4.0, 5.0, 6.0))
    with record() as outer:
        outer.add(a)
        with record() as inner:
            found = recording()
            assert found is not None
            found.add(b)
        assert recording() is outer
        outer.add(c)
    assert inner.calls == [b]
    assert outer.calls == [a, b, c]


def test_what_was_recorded_before_an_error_is_kept() -> None:
    with contextlib.suppress(ZeroDivisionError), record() as rec:
        rec.add(example_call())
        raise ZeroDivisionError
    assert (len(rec.calls), recording()) == (1, None)


def test_another_thread_is_not_recorded() -> None:
    seen: list[Record | None] = []
    with record():
        thread = threading.Thread(target=lambda: seen.append(recording()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_parts_of_a_record_are_records() -> None:
    calls = [example_call(seconds=seconds) for seconds in (4.0, 5.0, 6.0)]
    rec = Record(calls)
    assert rec[-1].calls == calls[2:]
    assert rec[1:].calls == calls[1:]
    assert [one.calls for one in rec] == [[call] for call in calls]
    with pytest.raises(IndexError):
        rec[3]


def test_asking_whether_somebody_records_is_light() -> None:
    program = """if True:
        import sys
        import mpicomp
        from mpicomp.record.recording import recording
        recording()
        print(*sys.modules)
    """
    done = run_python(["-c", program])
    assert not {"numpy", "matplotlib", "mpi4py"} & set(done.stdout.split()), done.stderr


# text


@given(st.lists(timelines(), min_size=1, max_size=3), st.integers(1, 80))
def test_a_chart_shows_how_long_each_rank_was_busy(calls: list[Timeline], width: int) -> None:
    ranks = max(call.ranks for call in calls)
    _, *lines, scale = gantt(calls, width).splitlines()
    lines = lines[len(calls) > 1 :]  # the names of the calls
    assert len(lines) == ranks
    total = Summary(calls)
    whole = sum(max(call.seconds, call.makespan) for call in calls)
    for rank, line in enumerate(lines):
        name, bar, share = line.split("|")
        assert (int(name), len(bar)) == (rank, width)
        assert float(share.rstrip("% ")) == pytest.approx(
            100 * total.busy[rank] / whole if whole else 0.0, abs=0.51
        )
    assert scale.endswith(f"0 to {duration(whole)}")


@given(st.lists(timelines(), max_size=4))
def test_back_to_back_calls_do_not_overlap(calls: list[Timeline]) -> None:
    events, edges = back_to_back(calls)
    assert len(edges) == len(calls) + 1
    assert len(events) == sum(len(call.events) for call in calls)
    first = 0
    for call, begin, end in zip(calls, edges, edges[1:], strict=False):
        mine = events[first : first + len(call.events)]
        assert ((begin <= mine["begin"]) & (mine["end"] <= end)).all()
        assert (mine["end"] - mine["begin"]).sum() == pytest.approx(
            (call.events["end"] - call.events["begin"]).sum()
        )
        first += len(call.events)


def test_of_many_ranks_some_are_drawn() -> None:
    lines = simulate(np.ones(1000), "static", 1000).record.text(width=4, most=3).splitlines()
    assert lines[1:] == [
        "  0 |████| 100 %",
        "499 |████| 100 %",
        "999 |████| 100 %",
        "     0 to 1 s; 3 of 1000 ranks",
    ]


def test_a_notebook_shows_text_that_is_escaped() -> None:
    call = example_call()
    given = {name: getattr(call, name) for name in Timeline.__match_args__}
    html = Record([Timeline(**given | {"schedule": "<b>&"})])._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "efficiency" in html
    ElementTree.fromstring(html)
    ElementTree.fromstring(Record()._repr_html_())


def test_no_calls() -> None:
    assert Record().text() == "no calls were recorded"


# pictures


def test_a_picture_is_what_its_suffix_says(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rec = Record([example_call(), example_call(seconds=6.0)])
    rec.plot(tmp_path / "run.png")
    rec.plot(tmp_path / "run.svg")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    root = ElementTree.parse(tmp_path / "run.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_picture_has_a_box_for_each_run_and_each_load() -> None:
    collections = pytest.importorskip("matplotlib.collections")
    rec = Record([example_call(), example_call(seconds=6.0)])
    figure = rec.plot()
    assert figure is not None
    left, right = figure.axes[:2]
    (runs,) = (it for it in left.collections if isinstance(it, collections.PolyCollection))
    assert sorted(corners(runs)) == [
        (0, 0, 2), (0, 2.5, 4), (0, 4, 6), (0, 6.5, 8), (1, 0.5, 1.5), (1, 4.5, 5.5),
    ]  # fmt: skip
    busy, overhead, idle = right.collections
    assert [bars.get_label() for bars in right.collections] == ["busy", "overhead", "idle"]
    assert corners(busy) == [(0, 0, 7), (1, 0, 2)]
    assert corners(overhead) == [(0, 7, 8), (1, 2, 3)]
    assert corners(idle) == [(0, 8, 8), (1, 3, 8)]


def corners(boxes: Any) -> list[tuple[int, float, float]]:
    """Row, left and right of each box."""
    found = (np.asarray(path.vertices).T for path in boxes.get_paths())
    return [(round(y.mean()), float(x.min()), float(x.max())) for x, y in found]


@pytest.mark.parametrize("p", [1, 3, 300])
@pytest.mark.parametrize("n", [0, 1, 12_000])
def test_a_picture_of_any_size(n: int, p: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    simulate(np.ones(n), "dynamic", p).record.plot(tmp_path / "run.svg")
    assert 0 < (tmp_path / "run.svg").stat().st_size < 10**6


def test_without_matplotlib_it_says_what_to_install() -> None:
    # None there is what import finds when a module cannot be imported
    program = """if True:
        import sys
        sys.modules["matplotlib"] = None
        from mpicomp.errors import MpicompError
        from mpicomp.record.simulate import simulate
        try:
            simulate([1.0], "static", 1).record.plot()
        except ImportError as error:
            print(isinstance(error, MpicompError), error)
    """
    done = run_python(["-c", program])
    assert done.stdout.startswith("True plot draws with matplotlib"), done.stderr
    assert 'pip install "mpicomp[plot]"' in done.stdout


# numbers for people


@given(st.floats(1e-12, 1e9))
def test_a_duration_is_within_a_percent(seconds: float) -> None:
    number, unit = duration(seconds).split()
    told = float(number) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert told == pytest.approx(seconds, rel=0.01)
    assert len(number) <= 5 or seconds >= 1000 or seconds < 1e-9


@given(st.integers(0, 10**6), st.integers(2, 100))
def test_an_even_choice(n: int, most: int) -> None:
    chosen = evenly(n, most)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(n, most)
    if n:
        assert (chosen[0], chosen[-1]) == (0, n - 1)


def test_plurals() -> None:
    assert [counted(n, "item") for n in (0, 1, 2)] == ["0 items", "1 item", "2 items"]


def test_errors_are_of_the_family() -> None:
    assert RecordError.__bases__ == (MpicompError, ValueError)
    assert MissingExtra.__bases__ == (MpicompError, ImportError)


def test_in_a_picture_of_several_calls_each_is_named_that_has_the_room() -> None:
    pytest.importorskip("matplotlib")
    calls = [example_call(seconds=4.0), example_call([], seconds=1e-3), example_call(seconds=6.0)]
    figure = Record(calls).plot()
    assert figure is not None
    named = figure.axes[0].texts
    assert [text.get_text() for text in named] == ['plist, "dynamic,2"'] * 2
    assert [float(text.xy[0]) for text in named] == pytest.approx([0.0, 4.001])  # type: ignore[attr-defined]  # they are annotations
