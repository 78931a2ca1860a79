"""Errors of the cost models against measured data."""
