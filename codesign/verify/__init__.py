"""Evidence from simulation: exported designs against the quantised model."""
