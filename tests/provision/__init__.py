"""Tests of `lab.provision`."""
