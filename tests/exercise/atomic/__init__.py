"""Tests of `lab.exercise`."""
