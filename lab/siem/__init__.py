"""Other SIEMs: what a run noticed flows into them, is searched there, and what they raise comes back."""
