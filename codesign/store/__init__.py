"""The durable study store."""
