"""Analytical cost models: one module a template, one call that prices designs."""
