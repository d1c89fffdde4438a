"""Tests of what people add to a run."""
