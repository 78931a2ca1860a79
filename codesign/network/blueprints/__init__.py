"""Network families: from parameter values to layer tables."""
