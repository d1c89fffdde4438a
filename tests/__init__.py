"""The tests; they mirror `lab`."""
