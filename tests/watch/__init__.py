"""Tests of `lab.watch`."""
