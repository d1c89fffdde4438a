"""Tests of the reasons for misses and false alarms."""
