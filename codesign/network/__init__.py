"""Layer graphs, blueprints, tasks, and the quantised networks trained from them."""
