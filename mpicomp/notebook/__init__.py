"""Comprehensions from a notebook: the engines of ipyparallel do the work.

    from mpicomp.notebook import connect
    mpi = connect(n=4)
    squares = mpi.plist(x * x for x in range(1000))

Needs ``pip install "mpicomp[notebook]"``.  In a ``%%px`` cell the verbs of `mpicomp` work as
they do in a script.
"""

from mpicomp.notebook.session import Session, connect

__all__ = ["Session", "connect"]
