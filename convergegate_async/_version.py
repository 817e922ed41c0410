"""The version, stated once, below every layer that sends or stores it."""

__version__ = "0.1.0"
