"""Tests of `lab.detect.sigma`."""
