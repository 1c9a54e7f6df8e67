"""Laws of the side effects that are found: the marked lines and names, and no others.

A case is a program that makes a generator ``gen`` (or a function ``run``, as `pmap` gets it).
A comment ``#! name`` marks a line where a side effect on *name* has to be found.
"""

from __future__ import annotations

import asyncio.base_events
import dataclasses
import dis
import functools
import re
import sys
import textwrap
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from mpicomp import OptionError, SideEffectError, SideEffectWarning, options, plist, pmap, preduce
from mpicomp.plan import effects
from mpicomp.plan.bytecode import Machine, Scope
from mpicomp.plan.comprehension import take_apart
from mpicomp.plan.effects import describe, effects_of
from mpicomp.plan.instructions import HANDLERS
from mpicomp.plan.reach import Finding, Search
from mpicomp.plan.shared import Shared

FILE = "case.py"


def made(program: str) -> Any:
    """What the program calls ``run``, or the function behind its ``gen``."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(textwrap.dedent(program), FILE, "exec", dont_inherit=True), names)
    return names["run"] if "run" in names else take_apart(names["gen"], "plist").function


def told(findings: tuple[Finding, ...]) -> list[tuple[int, str]]:
    return sorted((found.line, found.name) for found in findings)


def marked(program: str) -> list[tuple[int, str]]:
    lines = textwrap.dedent(program).splitlines()
    marks = [(at, re.search("#! (.*)", line)) for at, line in enumerate(lines, 1)]
    return sorted((at, name) for at, mark in marks if mark for name in mark[1].split(", "))


FOUND = {
    "the counter": """
        counter = 0
        def count(x):
            global counter
            counter += 1  #! counter
            return x * x
        gen = (count(x) for x in range(10))
        """,
    "a global that is only set": """
        def f(x):
            global last
            last = x  #! last
        gen = (f(x) for x in range(10))
        """,
    "deep down": """
        n = 0
        def a(x): return b(x) + 1
        def b(x):
            return sum(c(y) for y in range(x))
        def c(x):
            global n
            n = n + x  #! n
            return n
        gen = (a(x) for x in range(10))
        """,
    "nonlocal": """
        def outer():
            n = 0
            def f(x):
                nonlocal n
                n += x  #! n
                return n
            return (f(x) for x in range(3))
        gen = outer()
        """,
    "a nested function's global": """
        def f(x):
            def g():
                global n
                n = 3  #! n
            return g()
        gen = (f(x) for x in range(3))
        """,
    "a nested function's nonlocal, two levels up": """
        def outer():
            n = 0
            def f(x):
                def g():
                    nonlocal n
                    n += 1  #! n
                return g()
            return (f(x) for x in range(3))
        gen = outer()
        """,
    "a running sum": """
        total = 0
        gen = ((total := total + x) for x in range(10))  #! total
        """,
    "a running sum in a function": """
        def outer():
            total = 0
            return ((total := total + x) for x in range(10))  #! total
        gen = outer()
        """,
    "append in the comprehension": """
        seen = []
        gen = (seen.append(x) or x for x in range(10))  #! seen
        """,
    "append in a function": """
        seen = []
        def f(x):
            seen.append(x)  #! seen
            return x
        gen = (f(x) for x in range(10))
        """,
    "append to what the closure has": """
        def outer():
            seen = []
            def f(x):
                if x:
                    seen.append(x if x > 2 else -x)  #! seen
            return (f(x) for x in range(3))
        gen = outer()
        """,
    "an item of a list in a namespace": """
        from types import SimpleNamespace
        state = SimpleNamespace(rows=[0], n=0)
        def f(x):
            state.rows[0] = x  #! state.rows
            state.n += x  #! state.n
        gen = (f(x) for x in range(10))
        """,
    "setdefault whose result nobody takes": """
        first, groups, names = {}, {}, {}
        def f(x):
            first.setdefault("first", x)  #! first
            names.setdefault(x)  #! names
            groups.setdefault(x % 2, []).append(x)  #! groups
        gen = (f(x) for x in range(10))
        """,
    "a default of a keyword": """
        def f(x, *, seen=[]):
            seen.append(x)  #! seen
        def g(x, *, seen=[]):
            seen.append(x)
            return seen
        gen = (f(x) or g(x, seen=[]) for x in range(10))
        """,
    "an attribute that is deleted": """
        class Config: size = 3
        config = Config()
        def f(x):
            del config.size  #! config.size
            del Config().size
        gen = (f(x) for x in range(10))
        """,
    "an object that is not known": """
        def f(x):
            missing.append(x)  #! missing
            missing[x] = 3
            return missing.pop(x)
        gen = (f(x) for x in range(10))
        """,
    "other methods": """
        from collections import Counter, deque
        counts, queue, names, table, data = Counter(), deque(), set(), {}, bytearray()
        def f(x):
            counts.update([x])  #! counts
            queue.popleft()  #! queue
            names.add(x)  #! names
            table.update(a=x)  #! table
            data.extend(b"a")  #! data
            table.pop(x, None)  #! table
            return x
        gen = (f(x) for x in range(10))
        """,
    "a list passed on": """
        seen = []
        def record(log, value):
            log.append(value)  #! log
        def f(x):
            record(seen, x)
        gen = (f(x) for x in range(10))
        """,
    "a list passed on by keyword": """
        seen = []
        def record(value, *, log):
            log.append(value)  #! log
        gen = (record(x, log=seen) for x in range(10))
        """,
    "another name for it": """
        seen = []
        def f(x):
            log = seen
            log.append(x)  #! seen
        gen = (f(x) for x in range(10))
        """,
    "a default argument": """
        def f(x, seen=[]):
            seen.append(x)  #! seen
            return len(seen)
        gen = (f(x) for x in range(10))
        """,
    "in place": """
        def f(x, log=[]):
            log += [x]  #! log
        gen = (f(x) for x in range(10))
        """,
    "an item of a list": """
        out = [0] * 10
        def f(x):
            out[x] = x * x  #! out
        gen = (f(x) for x in range(10))
        """,
    "an item of an array": """
        import numpy as np
        out = np.zeros(10)
        def f(x):
            out[x] = x * x  #! out
            out[2:3] = 0  #! out
            out.sort()  #! out
        gen = (f(x) for x in range(10))
        """,
    "an array in place": """
        import numpy as np
        def outer(total):
            def f(x):
                nonlocal total
                total += x  #! total
            return (f(x) for x in range(10))
        gen = outer(np.zeros(3))
        """,
    "counting in a dict": """
        counts = {}
        def f(word):
            counts[word] = counts.get(word, 0) + 1  #! counts
        gen = (f(x) for x in "abba")
        """,
    "counting in a dict, by steps": """
        counts = {}
        def f(word):
            n = counts.get(word, 0)
            n = max(n, 1)
            counts[word] = n + 1  #! counts
        gen = (f(x) for x in "abba")
        """,
    "counting in a defaultdict": """
        from collections import defaultdict
        counts = defaultdict(int)
        def f(word):
            counts[word] += 1  #! counts
        gen = (f(x) for x in "abba")
        """,
    "grouping": """
        from collections import defaultdict
        groups, others = defaultdict(list), {}
        def f(word):
            groups[word[0]].append(word)  #! groups
            others.setdefault(word, []).append(word)  #! others
        gen = (f(x) for x in ["a"])
        """,
    "what was met before": """
        seen = {}
        def f(x):
            if x in seen:
                return None
            seen[x] = True  #! seen
            return x
        gen = (f(x) for x in range(10))
        """,
    "what came before": """
        state = {"last": 0}
        def f(x):
            step = x - state["last"]
            state["last"] = x  #! state
            return step
        gen = (f(x) for x in range(10))
        """,
    "a deletion": """
        table = {1: 2}
        def f(x):
            del table[x]  #! table
        gen = (f(x) for x in range(10))
        """,
    "an attribute": """
        class Tally:
            total = 0
        tally = Tally()
        def f(x):
            tally.total += x  #! tally.total
        gen = (f(x) for x in range(10))
        """,
    "an attribute of a function": """
        def f(x):
            f.calls = f.calls + 1  #! f.calls
        f.calls = 0
        gen = (f(x) for x in range(10))
        """,
    "a class's attribute": """
        class Box:
            made = 0
            def __init__(self, x):
                self.x = x
                Box.made += 1  #! Box.made
        gen = (Box(x) for x in range(10))
        """,
    "a method that changes its object": """
        class Model:
            def __init__(self):
                self.n, self.log = 0, []
            def step(self, x):
                self.n += x  #! self.n
                self.log.append(x)  #! self.log
                return self.n
        model = Model()
        gen = (model.step(x) for x in range(10))
        """,
    "an object that is called": """
        class Model:
            n = 0
            def __call__(self, x):
                self.n += x  #! self.n
        run = Model()
        """,
    "a bound method": """
        class Model:
            n = 0
            def step(self, x):
                self.n += x  #! self.n
        run = Model().step
        """,
    "a partial": """
        from functools import partial
        def f(log, x):
            log.append(x)  #! log
        run = partial(f, [])
        """,
    "class and static methods": """
        class Box:
            n = 0
            @classmethod
            def one(cls, x):
                cls.n += x  #! cls.n
            @staticmethod
            def two(x):
                Box.n += x  #! Box.n
        gen = ((Box.one(x), Box.two(x)) for x in range(10))
        """,
    "a method of an object that the item makes": """
        n = 0
        class Box:
            def __init__(self, x):
                self.x = x
            def open(self):
                return self.count()
            def count(self):
                global n
                n += self.x  #! n
        gen = (Box(x).open() for x in range(10))
        """,
    "behind a cache and a decorator": """
        import functools
        n = 0
        def noisy(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args)
            return wrapper
        @functools.cache
        @noisy
        def f(x):
            global n
            n += 1  #! n
            return x
        gen = (f(x) for x in range(10))
        """,
    "given to a function of the library": """
        n = 0
        def f(x):
            global n
            n += 1  #! n
            return x
        gen = (sorted([x, 2], key=f) for x in range(10))
        """,
    "in a lambda": """
        seen = []
        f = lambda x: seen.append(x)  #! seen
        gen = (f(x) for x in range(10))
        """,
    "in an inner comprehension": """
        seen = []
        def f(x):
            return [seen.append(y) for y in range(x)]  #! seen
        gen = (f(x) for x in range(10))
        """,
    "random numbers": """
        import random
        def f(x):
            return random.random() + x  #! random.random
        gen = (f(x) for x in range(10))
        """,
    "random numbers by their own name": """
        from random import gauss, shuffle
        def f(x):
            items = [1, 2, 3]
            shuffle(items)  #! shuffle
            return gauss(0, x)  #! gauss
        gen = (f(x) for x in range(10))
        """,
    "numpy's random numbers": """
        import numpy as np
        rng = np.random.default_rng(1)
        def f(x):
            a = np.random.rand()  #! np.random.rand
            b = np.random.normal(size=3)  #! np.random.normal
            c = rng.normal()  #! rng.normal
            return a + b + c
        gen = (f(x) for x in range(10))
        """,
    "random numbers, imported in the function": """
        def f(x):
            import random as r
            from numpy.random import rand
            return r.randint(0, x) + rand()  #! random.randint, numpy.random.rand
        gen = (f(x) for x in range(10))
        """,
    "a stream of one's own that is shared": """
        import random
        stream = random.Random(3)
        gen = (stream.random() for x in range(10))  #! stream.random
        """,
    "reading a file": """
        import io
        file = io.StringIO()
        def f(x):
            file.seek(x)  #! file
            return file.readline()  #! file
        gen = (f(x) for x in range(10))
        """,
    "the lines of a file": """
        import io
        file = io.StringIO()
        gen = ((x, next(file)) for x in range(10))  #! file
        """,
    "a loop over a file": """
        import io
        file = io.StringIO()
        def f(x):
            for line in file:  #! file
                return line
        gen = (f(x) for x in range(10))
        """,
    "writing to a file": """
        import io
        log = io.BytesIO()
        def f(x):
            log.write(str(x))  #! log
        gen = (f(x) for x in range(10))
        """,
    "the keyboard": """
        gen = (input(f"{x}?") for x in range(3))  #! input
        """,
    "an iterator": """
        import itertools
        ids = itertools.count()
        gen = ((next(ids), x) for x in range(10))  #! ids
        """,
    "a method of a list by another name": """
        seen = []
        note = seen.append
        gen = (note(x) for x in range(10))  #! note
        """,
    "a function's default that is passed on by a star": """
        def f(x, seen=[]):
            seen.append(x)  #! seen
        gen = (f(*pair) for pair in [(1,), (2,)])
        """,
    "a global that is deleted": """
        def f(x):
            global table
            del table  #! table
        gen = (f(x) for x in range(10))
        """,
    "an object set by setattr": """
        class Box: pass
        box = Box()
        def f(x):
            setattr(box, "x", x)  #! box
            box.__dict__["y"] = x  #! box.__dict__
        gen = (f(x) for x in range(10))
        """,
    "a generator": """
        rest = (x for x in range(100))
        gen = (sum(rest) + x for x in range(10))  #! rest
        """,
    "a heap": """
        import heapq
        heap = []
        def f(x):
            heapq.heappush(heap, x)  #! heap
        gen = (f(x) for x in range(10))
        """,
    "in a handler, a finally, a with": """
        import contextlib
        seen, bad, done = [], [], []
        def f(x):
            with contextlib.suppress(ValueError):
                seen.append(x)  #! seen
            try:
                return 1 / x
            except ZeroDivisionError as error:
                bad.append(error)  #! bad
            finally:
                done.append(x)  #! done
        gen = (f(x) for x in range(10))
        """,
    "in branches and loops": """
        seen, odd = [], set()
        def f(x):
            while x > 0:
                if x % 2 and x > 3 or x == 1:
                    odd.add(x)  #! odd
                else:
                    seen.append([y for y in range(x) if y] if x else None)  #! seen
                x -= 1
        gen = (f(x) for x in range(10))
        """,
    "in a generator function, after a match": """
        seen = []
        def parts(x):
            match x:
                case {"a": [1, *rest]}:
                    yield from rest
                case _:
                    seen.append(x)  #! seen
                    yield x
        gen = (list(parts(x)) for x in range(10))
        """,
}

CLEAN = {
    "nothing": "gen = (x * x for x in range(10) if x % 2)",
    "lists and dicts made here": """
        def f(x):
            out, table, seen = [], {}, set()
            for y in range(x):
                out.append(y)
                table[y] = table.get(y, 0) + 1
                seen.add(y)
                table.setdefault(y, [])
            out += [1]
            out.sort()
            total = 0
            total += sum(out)
            return total
        gen = (f(x) for x in range(10))
        """,
    "a copy": """
        base = [1, 2]
        def f(x):
            mine = list(base)
            mine.append(x)
            other = base + [x]
            other.append(x)
            third = base.copy()
            third[0] = x
            base_ = base[:]
            base_.append(1)
            return mine, other
        gen = (f(x) for x in range(10))
        """,
    "an object made here": """
        class Box:
            def __init__(self, x):
                self.x, self.log = x, []
            def grow(self):
                self.x += 1
                self.log.append(self.x)
                return self
        def f(x):
            box = Box(x).grow()
            box.y = 3
            box.grow().log.append(3)
            return box.x
        gen = (f(x) for x in range(10))
        """,
    "a dataclass": """
        from dataclasses import dataclass, field
        @dataclass
        class Box:
            x: int
            log: list = field(default_factory=list)
            def __post_init__(self):
                self.log.append(self.x)
        gen = (Box(x).log for x in range(10))
        """,
    "a class made here": """
        def f(x):
            class Here:
                log = []
                log.append(3)
                def g(self):
                    self.y = x
            return Here().g()
        gen = (f(x) for x in range(10))
        """,
    "a nested function's variable": """
        def f(x):
            n = 0
            log = []
            def g(y):
                nonlocal n
                n += y
                log.append(y)
            for y in range(x):
                g(y)
            return n
        gen = (f(x) for x in range(10))
        """,
    "a walrus": "gen = ((y, y + 1) for x in range(10) if (y := x % 5))",
    "a walrus in a function": """
        def outer():
            return ([y := x + 1, y * y, [z for w in range(3) if (z := w + y)]] for x in range(3))
        gen = outer()
        """,
    "cached by the library": """
        from functools import cache, lru_cache
        @cache
        def f(x): return x if x < 2 else f(x - 1) + f(x - 2)
        @lru_cache(maxsize=None)
        def g(x): return f(x)
        gen = (g(x) for x in range(10))
        """,
    "cached in a dict": """
        cache = {}
        def f(x):
            if x not in cache:
                cache[x] = f(x - 1) + f(x - 2) if x > 1 else x
            return cache[x]
        gen = (f(x) for x in range(10))
        """,
    "cached in a dict, by trying": """
        cache = {}
        def f(x):
            try:
                return cache[x]
            except KeyError:
                result = cache[x] = x * x
                return result
        gen = (f(x) for x in range(10))
        """,
    "cached in a dict, by asking": """
        def f(x, memo={}):
            found = memo.get(x)
            if found is None:
                memo[x] = found = x * x
            return found
        gen = (f(x) for x in range(10))
        """,
    "cached in a dict by setdefault": """
        memo = {}
        gen = (memo.setdefault(x, x * x) for x in range(10))
        """,
    "a caching decorator of one's own": """
        import functools
        def memoize(function):
            known = {}
            @functools.wraps(function)
            def wrapper(*args):
                if args in known:
                    return known[args]
                result = function(*args)
                known[args] = result
                return result
            return wrapper
        @memoize
        def f(x): return x
        gen = (f(x) for x in range(10))
        """,
    "cached in a list": """
        memo = [None] * 100
        def f(x):
            if memo[x] is None:
                memo[x] = x * x
            return memo[x]
        gen = (f(x) for x in range(10))
        """,
    "made when first needed": """
        _table = None
        def table():
            global _table
            if _table is None:
                _table = [x * x for x in range(100)]
            return _table
        gen = (table()[x] for x in range(10))
        """,
    "an attribute made when first needed": """
        class Model:
            table = None
            def get(self, x):
                if self.table is None:
                    self.table = list(range(100))
                if not hasattr(self, "other"):
                    self.other = 3
                return self.table[x]
        model = Model()
        gen = (model.get(x) for x in range(10))
        """,
    "a module imported when first needed": """
        def f(x):
            global math
            import math
            return math.sqrt(x)
        gen = (f(x) for x in range(10))
        """,
    "one object for all": """
        class Only:
            _it = None
            _all = {}
            def __new__(cls):
                if cls._it is None:
                    cls._it = super().__new__(cls)
                return cls._it
            def kept(self, x):
                if x not in self._all:
                    self._all[x] = str(x)
                return self._all[x]
        only = Only()
        gen = (Only().kept(only.kept(x)) for x in range(10))
        """,
    "of a thread": """
        import threading
        local = threading.local()
        def f(x):
            local.x = x
            return local.x
        gen = (f(x) for x in range(10))
        """,
    "numpy": """
        import numpy as np
        base = np.arange(10.0)
        def f(x):
            a = np.zeros(3)
            a[1] = x
            a += base[:3]
            a.sort()
            b = base.copy()
            b[0] = 1
            c = np.linalg.norm(base) + np.sum(a @ a) + base.mean()
            np.add.at(a, [0], 1)
            d = base * 2
            d[:] = 0
            return np.concatenate([a, b, d]), c
        gen = (f(x) for x in range(10))
        """,
    "random numbers of the item's own": """
        import random
        import numpy as np
        def f(x):
            rng = np.random.default_rng([7, x])
            own = random.Random(x)
            return rng.normal() + own.random() + np.random.RandomState(x).rand()
        gen = (f(x) for x in range(10))
        """,
    "random numbers, started by the item": """
        import random
        def f(x):
            random.seed(x)
            return random.random()
        gen = (f(x) for x in range(10))
        """,
    "numpy's random numbers, started by the item": """
        import numpy as np
        def f(x):
            np.random.seed(x)
            return np.random.rand()
        gen = (f(x) for x in range(10))
        """,
    "the system's random numbers": """
        import random, secrets
        system = random.SystemRandom()
        gen = (system.random() + secrets.randbelow(3) for x in range(10))
        """,
    "a file opened here": """
        import io
        def f(x):
            with open("/dev/null") as file:
                return [line for line in file] + [file.read()]
        def g(x):
            out = io.StringIO()
            out.write("a")
            return out.getvalue()
        gen = ((f(x), g(x)) for x in range(10))
        """,
    "print and logging": """
        import logging, sys
        log = logging.getLogger("case")
        def f(x):
            print(x)
            log.info("x")
            sys.stderr.write("x")
            sys.stdout.flush()
        gen = (f(x) for x in range(10))
        """,
    "the standard library": """
        import json, re, textwrap, decimal, fractions, datetime
        def f(x):
            re.compile(str(x))
            with decimal.localcontext() as context:
                context.prec = 50
            return json.loads(json.dumps(x)), textwrap.dedent(" a")
        gen = (f(x) for x in range(10))
        """,
    "reading what is shared": """
        table, rows, n = {1: [2]}, [[1], [2]], 3
        class Config: size = 3
        config = Config()
        def f(x):
            best = max(table.get(x, [0])) + rows[0][0] + n + config.size
            for row in rows:
                best += sum(row)
            return [*table.items()], table.keys() | {x}, x in table, best
        gen = (f(x) for x in range(10))
        """,
    "methods with names like those that change": """
        class Immutable:
            def add(self, x): return self
            def update(self, x): return self
            def append(self, x): return self
        frame = Immutable()
        gen = ((frame.add(x), frame.update(x), frame.append(x)) for x in range(10))
        """,
    "a property and a __getattr__, which do not run": """
        class Odd:
            @property
            def value(self): raise SystemExit("a property was run")
            def __getattr__(self, name): raise SystemExit("__getattr__ was run")
            def __eq__(self, other): raise SystemExit("__eq__ was run")
            __hash__ = None
        class Meta(type):
            def __getattr__(cls, name): raise SystemExit("the class's __getattr__ was run")
        class Other(metaclass=Meta): pass
        class Never:
            def __init__(self): raise SystemExit("an object was made")
        odd, table, empty = Odd(), {1: Odd()}, {}
        def f(x):
            return (odd.value.append(x), odd.missing(x), odd[x], odd == x, Other.missing.pop(),
                    empty.setdefault(x, Never()).x, empty.get(x, Never()).y, Never().append(x),
                    table[x].value, table.get(x, odd), odd(x), Other().missing)
        gen = (f(x) for x in range(10))
        """,
    "a global that is not there": """
        def f(x): return missing.append(missing(x)) or missing.a.b(x)
        gen = (f(x) for x in range(10))
        """,
    "a variable that is not there yet": """
        def outer():
            def f(x): return later(x).a
            gen = (f(x) for x in range(10))
            return gen
            later = None
        gen = outer()
        """,
    "recursion": """
        def even(x): return x == 0 or odd(x - 1)
        def odd(x): return x != 0 and even(x - 1)
        gen = (even(x) for x in range(10))
        """,
    "a builtin": "run = abs",
    "a builtin type": "run = list",
    "no function at all": "run = 3",
    "asynchronous": """
        import asyncio
        async def f(x):
            async with asyncio.timeout(1):
                async for y in g(x):
                    await asyncio.sleep(y)
            return [y async for y in g(x)]
        async def g(x):
            yield x
        gen = (asyncio.run(f(x)) for x in range(10))
        """,
}


@pytest.mark.parametrize("name", FOUND)
def test_what_has_to_be_found(name: str) -> None:
    program = FOUND[name]
    findings = effects_of(made(program))
    assert told(findings) == marked(program), findings
    assert {found.file for found in findings} == {FILE}
    assert marked(program), "the case marks nothing"


@pytest.mark.parametrize("name", CLEAN)
def test_what_must_not_be_found(name: str) -> None:
    assert effects_of(made(CLEAN[name])) == ()


# what is remembered


def shared_code(f: Any) -> Any:
    return take_apart((f(x) for x in range(3)), "plist").function


def test_a_closure_that_comes_with_another_function_is_inspected_again() -> None:
    seen: list[int] = []

    def pure(x: int) -> int:
        return x

    def noisy(x: int) -> int:
        seen.append(x)
        return x

    for _ in range(2):
        assert effects_of(shared_code(pure)) == ()
        assert [found.name for found in effects_of(shared_code(noisy))] == ["seen"]
        assert [found.name for found in effects_of(shared_code(seen.append))] == ["f"]


def test_a_global_that_becomes_another_function_is_inspected_again() -> None:
    names: dict[str, Any] = {"seen": []}
    exec("def make(): return (f(x) for x in range(3))", names)
    for body, expected in [("x", []), ("seen.append(x)", ["seen"]), ("x + 1", [])]:
        exec(f"def f(x): return {body}", names)
        function = take_apart(names["make"](), "plist").function
        assert [found.name for found in effects_of(function)] == expected


def test_the_same_code_is_inspected_once() -> None:
    def make(n: int) -> Any:
        def f(x: int) -> int:
            return x + n

        return shared_code(f)

    first = effects_of(make(1))
    assert effects_of(make(2)) is first


# whatever the code is


@pytest.mark.parametrize(("depth", "seen"), [(15, True), (100, False)])
def test_calls_are_followed_to_a_bounded_depth(depth: int, seen: bool) -> None:
    chain = "".join(f"def f{k}(x): return f{k + 1}(x)\n" for k in range(depth))
    end = f"log = []\ndef f{depth}(x): log.append(x)\nrun = f0\n"
    assert bool(effects_of(made(chain + end))) is seen


def test_what_is_remembered_is_forgotten_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effects, "_known", {})
    monkeypatch.setattr(effects, "_LIMIT", 3)
    for _ in range(2):
        for name in list(FOUND)[:8]:
            assert told(effects_of(made(FOUND[name]))) == marked(FOUND[name])
            assert 1 <= len(effects._known) <= 4


def test_without_numpy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "numpy"]:
        monkeypatch.delitem(sys.modules, name)
    program = """
        import random
        def f(x):
            missing.seed(x)
            return random.random()  #! random.random
        gen = (f(x) for x in range(10))
        """
    assert told(effects_of(made(program))) == marked(program)


def test_what_goes_wrong_in_the_inspection_breaks_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise KeyError("unexpected")

    monkeypatch.setitem(HANDLERS, "LOAD_GLOBAL", fails)
    assert effects_of(made(FOUND["the counter"])) == ()


def test_a_great_deal_of_code_is_not_walked_to_its_end() -> None:
    body = "".join(f"    y = x + {k}.5\n" for k in range(9000))
    assert (
        effects_of(made(f"log = []\ndef g(x): log.append(x)\ndef f(x):\n{body}    g(x)\nrun = f"))
        == ()
    )


@pytest.mark.parametrize("opname", sorted(HANDLERS))
def test_an_unknown_instruction_hides_but_never_invents(
    opname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(HANDLERS, opname)
    for program in (*FOUND.values(), *CLEAN.values()):
        function = made(program)
        search = Search()
        search.enter(Shared("", function), None, (), ())
        assert set(told((*search.findings.values(),))) <= set(marked(program))


class Deaf:
    """Told of everything, says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from codes(const)


@pytest.mark.parametrize("module", [asyncio.base_events, dataclasses, functools, typing])
def test_every_instruction_that_this_python_writes_is_known(module: ModuleType) -> None:
    file = module.__file__ or ""
    whole = compile(Path(file).read_text(), file, "exec")
    for code in [*codes(whole)][1:]:
        machine = Machine(code, Scope({}, frozenset(), {}, {}), Deaf())
        machine.run(HANDLERS)
        assert not machine.lost, dis.code_info(code)


# what is said, and when


def test_a_letter_says_what_where_and_what_to_write() -> None:
    (found,) = effects_of(made(FOUND["deep down"]))
    text = describe(found, "plist at case.py:11")
    for part in ("plist at case.py:11", "global variable 'n'", "case.py:8", "a > b > c",
                 "psum", 'effects="ignore"'):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("name", FOUND)
def test_every_kind_has_its_words(name: str) -> None:
    for found in effects_of(made(FOUND[name])):
        assert repr(found.name) in describe(found, "plist")


def noisy_sum(log: list[int]) -> list[int] | None:
    return plist(log.append(x) or x for x in range(3))  # type: ignore[func-returns-value]  # on purpose


def test_a_warning_stands_at_the_line_of_the_effect_once() -> None:
    with warnings.catch_warnings(record=True) as told_of:
        warnings.simplefilter("default")
        log: list[int] = []
        assert noisy_sum(log) == noisy_sum(log) == [0, 1, 2]
    (warning,) = told_of
    assert warning.category is SideEffectWarning
    assert warning.filename == __file__
    assert warning.lineno == noisy_sum.__code__.co_firstlineno + 1
    assert "'log'" in str(warning.message)
    assert log == [0, 1, 2] * 2


def test_raise_refuses_before_anything_has_run() -> None:
    log: list[int] = []
    with options(effects="raise"), pytest.raises(SideEffectError, match="'log'") as caught:
        noisy_sum(log)
    assert isinstance(caught.value, RuntimeError)
    assert log == []


def test_ignore_says_nothing() -> None:
    log: list[int] = []
    with options(effects="ignore"):
        noisy_sum(log)
    assert log == [0, 1, 2]


def test_functions_that_combine_or_are_mapped_are_looked_at_too() -> None:
    log: list[int] = []

    def add(a: int, b: int) -> int:
        log.append(a)
        return a + b

    with options(effects="raise"):
        with pytest.raises(SideEffectError):
            preduce(add, (x for x in range(3)))
        with pytest.raises(SideEffectError):
            pmap(lambda x: log.append(x), range(3))
        with pytest.raises(SideEffectError):
            plist(x for x in map(add, range(3), range(3)))
    assert log == []


def test_a_wrong_word_is_told() -> None:
    with pytest.raises(OptionError, match='effects must be "warn", "raise" or "ignore", got 3'):
        plist((x for x in range(3)), effects=3)  # type: ignore[arg-type]  # wrong on purpose
