"""Ours beside others, on this machine."""
