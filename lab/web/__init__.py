"""Pages over run folders, for one person on this machine."""
