"""Tests of `lab.flow`."""
