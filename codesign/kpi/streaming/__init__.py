"""`streaming`: every layer its own hardware, as hls4ml builds it."""
