"""Tests of the formats of others."""
