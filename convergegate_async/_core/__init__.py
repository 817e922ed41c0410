"""Pure functions over values: no I/O, clock, randomness, logging or async.

Times and random numbers are passed in as arguments.
"""
