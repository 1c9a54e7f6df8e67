"""Each example, alone and on 3 ranks, prints or writes what an oracle of others' making says.

Standard output is compared whole: so it is also shown that one rank speaks and the others do not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
import sysconfig
import zlib
from collections import Counter
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from tests.launch import NEEDED, ROOT, mpi_beside, run_python, run_ranks

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))

on_1_and_3_ranks = pytest.mark.parametrize("ranks", [1, 3])


def output(ranks: int, name: str, *arguments: str | Path) -> str:
    """What the example prints; 1 rank is plain ``python``, without a launcher."""
    command = ["-W", "error::UserWarning", EXAMPLES / name, *arguments]  # of side effects
    done = run_python(command) if ranks == 1 else run_ranks(ranks, command)
    assert done.returncode == 0, done.stderr
    return done.stdout


@on_1_and_3_ranks
def test_squares(ranks: int) -> None:
    n = 1000
    total = (n - 1) * n * (2 * n - 1) // 6  # Archimedes, On Spirals, proposition 10
    assert output(ranks, "squares.py") == f"first 0, last {(n - 1) ** 2}, sum {total}\n"


@on_1_and_3_ranks
@pytest.mark.parametrize(
    ("limit", "count"),
    [([], 78498), (["100"], 25), (["3"], 1), (["0"], 0)],  # OEIS A006880: pi(10**6), pi(10**2)
)
def test_primes(ranks: int, limit: list[str], count: int) -> None:
    below = limit[0] if limit else 10**6
    assert output(ranks, "primes.py", *limit) == f"{count} primes below {below}\n"


@on_1_and_3_ranks
@pytest.mark.parametrize(
    ("limit", "start", "count"),
    # OEIS A006877 and A006878 (steps, one less than terms): records 6171, 77031
    [(10**4, 6171, 262), (10**5, 77031, 351), (2, 1, 1)],
)
def test_collatz(ranks: int, limit: int, start: int, count: int) -> None:
    expected = f"{start} has the longest chain below {limit}: {count} terms\n"
    assert output(ranks, "collatz.py", str(limit)) == expected


def test_collatz_below_a_million() -> None:
    # Project Euler, problem 14; OEIS A006877
    expected = "837799 has the longest chain below 1000000: 525 terms\n"
    assert output(3, "collatz.py") == expected


@on_1_and_3_ranks
def test_wordcount(ranks: int) -> None:
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace").lower() for path in paths]
    counts = Counter(re.sub("[^a-z]", " ", "\n".join(texts)).split())
    head, *top = output(ranks, "wordcount.py").splitlines()
    assert head == f"{counts.total()} words, {len(counts)} different, in {len(paths)} files"
    assert [line.split() for line in top] == [[str(n), w] for w, n in counts.most_common(10)]


@on_1_and_3_ranks
def test_wordcount_of_a_few_small_files(ranks: int, tmp_path: Path) -> None:
    files = {"a.py": "Spam, spam", "b.py": "", "c.txt": "eggs", "d.py": "spam_egg"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    expected = "4 words, 2 different, in 3 files\n       3 spam\n       1 egg\n"
    assert output(ranks, "wordcount.py", tmp_path) == expected


@on_1_and_3_ranks
def test_mapreduce(ranks: int, tmp_path: Path) -> None:
    files = {"a.py": "Spam, spam egg", "b.py": "", "c.txt": "eggs", "d.py": "spam_egg"}
    files["e.py"] = "ham"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    head, *rows = output(ranks, "mapreduce.py", tmp_path).splitlines()
    assert head == "6 words, 3 different, in 4 files"
    assert [row.split() for row in rows] == [
        ["2", "files", "2", "times", "egg"],
        ["2", "files", "3", "times", "spam"],
        ["1", "files", "1", "times", "ham"],
    ]


@on_1_and_3_ranks
def test_files_of_the_json_folder(ranks: int) -> None:
    assert listed(output(ranks, "files.py")) == described(Path(json.__file__).parent)


@on_1_and_3_ranks
@pytest.mark.parametrize("many", [0, 1, 2, 20])
def test_files(ranks: int, many: int, tmp_path: Path) -> None:
    for i in range(many):
        (tmp_path / f"file {i}").write_bytes(b"a line\n" * i + bytes(range(i)))
    (tmp_path / "folder").mkdir()
    assert listed(output(ranks, "files.py", tmp_path)) == described(tmp_path)


def listed(text: str) -> list[list[str]]:
    return [line.split(maxsplit=3) for line in text.splitlines()]


def described(folder: Path) -> list[list[str]]:
    rows = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_file():
            with open(entry, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                lines = sum(line.endswith(b"\n") for line in file)
            rows.append([str(entry.stat().st_size), str(lines), digest, entry.name])
    return rows


def test_mandelbrot(tmp_path: Path) -> None:
    width, height = 150, 120
    pictures = []
    for ranks in (1, 3):
        path = tmp_path / f"{ranks}.png"
        said = output(ranks, "mandelbrot.py", "--width", str(width), "--output", path)
        assert said.startswith(f"{path}: {width} x {height} pixels, area of the set ")
        # Förstemann 2012 estimates 1.50659; 255 steps and 0.02 wide pixels see a little more
        assert float(said.split()[-1]) == pytest.approx(1.5066, abs=0.03)
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
    rows = decoded(pictures[0], width, height)
    assert sum(row.count(0) for row in rows) * 0.02**2 == pytest.approx(1.5066, abs=0.03)
    for j, row in enumerate(rows):
        for i, pixel in enumerate(row):
            assert told(-2.1 + (i + 0.5) * 0.02, 1.2 - (j + 0.5) * 0.02) in (pixel, None), (i, j)


def told(x: float, y: float) -> int | None:
    """The pixel where a formula gives it: the two largest bulbs, and the outside of the disc."""
    q = math.hypot(x - 0.25, y)
    if x < q - 2 * q * q + 0.25 or math.hypot(x + 1, y) < 0.25:
        return 0
    return 1 if math.hypot(x, y) > 2 else None


def decoded(png: bytes, width: int, height: int) -> list[bytes]:
    """Rows of an 8-bit PNG of one channel, its checksums compared on the way."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    parts: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),)
        parts.append((kind, data))
        at += 12 + length
    assert [kind for kind, _ in parts] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert parts[0][1] == struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    assert len(parts[1][1]) == 3 * 256
    pixels = zlib.decompress(parts[2][1])
    lines = [pixels[k : k + width + 1] for k in range(0, len(pixels), width + 1)]
    assert len(lines) == height
    assert all(line[0] == 0 for line in lines)  # unfiltered
    return [line[1:] for line in lines]


@on_1_and_3_ranks
def test_uneven(ranks: int) -> None:
    # OEIS A002182 and A002183: 840 has 32 divisors, no smaller number as many, and 1260 has 36
    first, *rest = output(ranks, "uneven.py", "--limit", "1000").splitlines()
    assert first == "840 has the most divisors below 1000: 32"
    assert rest


@on_1_and_3_ranks
def test_futures(ranks: int) -> None:
    # OEIS A000043
    assert output(ranks, "futures.py", "650") == "2 3 5 7 13 17 19 31 61 89 107 127 521 607\n"


@on_1_and_3_ranks
def test_twins(ranks: int) -> None:
    lesser = [3, 5, 11, 17, 29, 41, 59, 71, 101, 107]  # OEIS A001359
    expected = "".join(f"{p} {p + 2}\n" for p in lesser)
    assert output(ranks, "twins.py", "2", "10") == expected


def test_montecarlo() -> None:
    said = {output(ranks, "montecarlo.py", "20", "8") for ranks in (1, 2, 3, 5)}
    assert len(said) == 1, "all digits are the same on any number of ranks"
    pi, call = said.pop().splitlines()
    inside = 0
    for stream in np.random.SeedSequence(8).spawn(20):  # numpy's own word for the same streams
        x, y = np.random.Generator(np.random.PCG64DXSM(stream)).random((2, 10_000))
        inside += int(sum(x * x + y * y < 1))
    share = inside / 200_000
    assert pi.split()[:2] == ["pi", repr(4 * share)]
    pi_bar = 4 * math.sqrt(share * (1 - share) / 200_000)
    assert float(pi.split()[-1]) == pytest.approx(pi_bar, rel=0.05)
    assert abs(4 * share - math.pi) < 4 * pi_bar
    word, price, _, bar, *_, exact = call.replace(",", "").split()
    assert word == "call"
    # Black & Scholes 1973, eq. 13, at spot 100, strike 105, rate 2 %, volatility 20 %, one year
    d = (math.log(100 / 105) + 0.02 + 0.02) / 0.2
    normal = NormalDist()
    theory = 100 * normal.cdf(d) - 105 * math.exp(-0.02) * normal.cdf(d - 0.2)
    assert float(exact) == pytest.approx(theory, abs=1e-6)
    assert abs(float(price) - theory) < 4 * float(bar)


def test_resume(tmp_path: Path) -> None:
    command: list[str | Path] = [EXAMPLES / "resume.py", "1000000", tmp_path / "twins.mpj"]
    stopped = run_ranks(2, [*command, "0"])
    assert stopped.returncode == 85, stopped.stderr  # it had no time at all
    assert not stopped.stdout
    shown = run_python(["-m", "mpicomp", "journal", "status", tmp_path / "twins.mpj"])
    items, every = shown.stdout.splitlines()[1].split()[2:4]
    assert 0 < int(items) < int(every)
    for ranks in (3, 1):
        done = run_ranks(ranks, command) if ranks > 1 else run_python(command)
        assert done.stdout == "8169 pairs of twin primes below 1000000\n"  # OEIS A007508


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_is_short_and_in_the_readme(script: Path) -> None:
    assert len(script.read_text().splitlines()) < 60
    assert f"[{script.name}]({script.name})" in (EXAMPLES / "README.md").read_text()


def test_there_are_examples() -> None:
    assert len(SCRIPTS) >= 6


def test_the_benchmark_measures_all_sides(tmp_path: Path) -> None:
    report = tmp_path / "times.json"
    script = ROOT / "benchmarks" / "compare.py"
    options = ["--quick", "--cases", "list-1e6", "call", "import", "--json"]
    done = run_python([script, *options, report], env=NEEDED[mpi_beside()])
    assert done.returncode == 0, done.stderr
    measured = json.loads(report.read_text())["cases"]
    assert set(measured) == {"list-1e6", "call", "import"}
    for case in measured.values():
        for times in case["seconds"].values():
            assert {"serial", "mpicomp"} <= set(times)
            # two samples of each side, none of a peer that is not installed
            assert all(side is None or len(side) == 2 for side in times.values())
            assert times["serial"]
            assert times["mpicomp"]
