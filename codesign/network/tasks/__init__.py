"""Tasks: what a network has to learn, as TOML records, loaders and embedded data."""
