"""The tests of mpicomp; ``python -m tests`` runs them all.

``pure/`` needs no ranks, ``mpi/`` holds at any number of ranks, ``house/`` looks at the project
itself, ``golden/`` keeps values to compare with.
"""
