"""Comparison with numbers that the reference implementations produced: ``python -m tests.parity FOLDER...``."""
