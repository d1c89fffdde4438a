"""Atomic Red Team: other people's tests, run unmodified."""
