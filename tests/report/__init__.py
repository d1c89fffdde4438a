"""Tests of `lab.report`."""
