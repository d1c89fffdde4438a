"""A scenario and how it is played: steps, scope, checks, truth, journal."""
