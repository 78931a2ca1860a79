"""Hardware projects written for designs."""
