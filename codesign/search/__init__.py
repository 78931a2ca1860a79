"""Multi-objective search: ask, evaluate, tell."""
