"""Tests of `lab.score`."""
