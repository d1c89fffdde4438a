"""Tests of `lab.inventory`."""
