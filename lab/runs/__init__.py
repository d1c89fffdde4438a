"""The folder of a run: what was noticed, and what happened."""
