"""Sigma rules: read, turned into conditions, evaluated."""
