"""Small tables in the format of `codesign benchmark search`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

PARAMETERS = 6


def write_table(path: Path, *, rows: int = 80) -> Path:
    """Designs of six parameters, the last one categorical, with three objectives and a constraint that some rows break."""
    rng = np.random.default_rng(3)
    x = np.unique(rng.integers(0, 5, size=(rows, PARAMETERS)), axis=0)
    size = x[:, :3].sum(axis=1)
    accuracy = 1.0 - np.exp(-0.2 * size) - 0.05 * (x[:, 5] == 2)
    latency = (1.0 + size) / (1.0 + x[:, 3])
    power = 1.0 + x[:, 3] + 0.5 * x[:, 4]
    columns: dict[str, object] = {f"x_p{column}": x[:, column] for column in range(PARAMETERS)}
    columns |= {"y_accuracy": accuracy, "y_latency": latency, "y_power": power, "c_area": x[:, 3] + x[:, 4] - 6.0}
    kinds = {f"x_p{column}": "categorical" if column == PARAMETERS - 1 else "ordinal" for column in range(PARAMETERS)}
    directions = {"y_accuracy": "max", "y_latency": "min", "y_power": "min"}
    made = pyarrow.table(columns).replace_schema_metadata({"kinds": json.dumps(kinds), "directions": json.dumps(directions)})
    parquet.write_table(made, path)
    return path
