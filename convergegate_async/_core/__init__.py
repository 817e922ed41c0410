"""The thinking: pure functions over values.

The law of this folder: no I/O, no clock, no dice, no logging, no async. What it needs
from the world comes in as an argument.
"""
