"""Events become alerts, by rules that know nothing of the scenario."""
