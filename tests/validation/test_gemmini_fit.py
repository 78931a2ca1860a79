"""Constants of Gemmini's closed form from measurements: learned, not pulled by other laws, and never from what is predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.validation.gemmini import NAMES, CallTable, count_calls, log_cycles, round_prices
from codesign.validation.gemmini_fit import GemminiPrior, fit_prices
from codesign.validation.gemmini_mapping import parse_layer, parse_mapping
from tests.validation.gemmini_rows import gemmini_rows


@pytest.fixture(scope="module")
def layers() -> tuple[CallTable, np.ndarray]:
    """Calls of 120 rows, bound by issue and memory, and their layer."""
    rows = gemmini_rows(120)
    calls = []
    for row in rows:
        layer = parse_layer(row["layer_json"], where="row")
        mapping = row["config_json"].split('"')[3]
        calls.append(count_calls(layer, parse_mapping(mapping, layer, where="row")))
    table = CallTable.of(calls)
    return replace(table, compute=table.compute / 100.0), np.unique([row["layer_json"] for row in rows], return_inverse=True)[1]


def truth() -> np.ndarray:
    prices = round_prices()[0].copy()
    prices[NAMES.index("convolution.call")] += 0.5
    prices[NAMES.index("memory.beats")] += 0.4
    return prices


def test_constants_are_learned_and_wild_rows_let_go(layers: tuple[CallTable, np.ndarray]) -> None:
    table, _ = layers
    noise = 0.02 * np.random.default_rng(0).normal(size=120)
    measured = log_cycles(table, truth()) + noise
    measured[:6] += 4.0
    fitted = log_cycles(table, fit_prices(table, measured))
    before = np.abs(log_cycles(table, round_prices()[0]) - log_cycles(table, truth())).mean()
    assert before > 0.15
    assert np.abs(fitted - log_cycles(table, truth())).mean() < 0.03


def test_without_measurements_the_round_numbers_stay(layers: tuple[CallTable, np.ndarray]) -> None:
    table, label = layers
    assert fit_prices(table.rows(np.arange(0)), np.empty(0)) == pytest.approx(round_prices()[0])
    # The convolutions measured say nothing of what matrices cost by themselves.
    fitted = fit_prices(table, log_cycles(table, truth()))
    place = NAMES.index("matmul.call")
    assert fitted[place] == pytest.approx(round_prices()[0][place])
    # One layer alone: its prior is the round numbers'.
    inside = np.flatnonzero(label == 0)
    prior, _ = GemminiPrior(table).fitted(inside, log_cycles(table.rows(inside), truth()), label)
    assert np.log(prior[inside]) == pytest.approx(log_cycles(table.rows(inside), round_prices()[0]))


def test_a_measured_layers_prior_is_fitted_to_others(layers: tuple[CallTable, np.ndarray]) -> None:
    table, label = layers
    inside = np.flatnonzero(label < 15)
    measured = log_cycles(table.rows(inside), truth())
    changed = measured + 0.5 * (label[inside] == 3)
    (prior, error), (other, _) = (GemminiPrior(table).fitted(inside, values, label) for values in (measured, changed))
    assert prior.shape == error.shape == (120,) and ((error > 0.0) & (error < 0.5)).all()
    assert (prior[label == 3] == other[label == 3]).all()
    assert (prior[label >= 15] != other[label >= 15]).all()
