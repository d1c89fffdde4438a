"""Tests of `lab.ask`."""
