"""Search strategies, found through entry points."""
