"""Evidence of nodes: what is taken from outside, and the manifest that says what it was."""
