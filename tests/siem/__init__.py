"""Tests of `lab.siem`."""
