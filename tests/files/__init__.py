"""Tests of `lab.files`."""
