"""Gaussian-process predictors of what is expensive to measure."""
