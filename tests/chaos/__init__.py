"""Real ranks, killed at random instants: ``python -m tests.chaos``.

Each run is drawn from its seed (`cases`): a verb, a source, a schedule, a number of ranks, and who
is killed when.  What comes out is compared with the serial value.
"""
