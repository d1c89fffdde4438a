"""Questions in SQL about one run."""
