"""The squares of the first thousand numbers: the smallest parallel comprehension.

    python squares.py
    mpiexec -n 4 python squares.py
"""

from mpicomp import plist

squares = plist(x * x for x in range(1000))

if squares is not None:  # rank 0 holds the list, the other ranks hold None
    print(f"first {squares[0]}, last {squares[-1]}, sum {sum(squares)}")
