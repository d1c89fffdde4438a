"""Tests of `lab.cli`."""
