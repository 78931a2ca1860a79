"""A new device from few measurements: the posterior is GPyTorch's, the choice of designs pays, and wrong input is told."""

from __future__ import annotations

import gpytorch
import numpy as np
import pytest
import torch

from codesign.kpi.evaluate import price
from codesign.search.specification import StudySpecification
from codesign.surrogate.transfer import SourceDevices
from codesign.surrogate.transfer_basis import EffectBasis
from codesign.surrogate.transfer_hypotheses import GRID, Gram, condition, prior_weights
from codesign.surrogate.transfer_table import ParameterTable
from codesign.validation.metrics import spearman

FloatArray = np.ndarray
PARTS = ("block0_width", "block0_kernel", "block1_width", "block1_kernel", "block2_width", "block2_kernel")


def networks(count: int = 500, seed: int = 0) -> ParameterTable:
    """Three blocks of four widths and three kernels."""
    rng = np.random.default_rng(seed)
    return ParameterTable(PARTS, (True, True, True, False, True, True), rng.integers(0, [4, 3, 4, 3, 4, 3], size=(count, 6)))


def latencies(table: ParameterTable, seed: int, noise: float = 0.01) -> FloatArray:
    """A device on which each block costs width times kernel at a price of its own, and every network the same overhead."""
    rng = np.random.default_rng([7, seed])
    cost = (1.0 + table.values[:, 0::2]) * (1.0 + 2.0 * table.values[:, 1::2])
    total = cost @ np.exp(rng.normal(0.0, 0.5, size=3)) + rng.uniform(0.0, 10.0)
    return np.asarray(total * np.exp(rng.normal(0.0, noise, size=len(table))))


@pytest.fixture(scope="module")
def table() -> ParameterTable:
    return networks()


@pytest.fixture(scope="module")
def devices(table: ParameterTable) -> SourceDevices:
    return SourceDevices(table, np.column_stack([latencies(table, device) for device in range(6)]))


def judged(devices: SourceDevices, target: FloatArray, rows: np.ndarray) -> tuple[float, float, float]:
    """Rank correlation, mean relative error and share inside the 90 % interval, on the other designs."""
    device = devices.adapt(rows, target[rows])
    left = np.setdiff1d(np.arange(len(target)), rows)
    (low, high), predicted = device.interval(0.9), device.latency()
    rank = spearman(predicted[left], target[left])
    assert rank is not None
    inside = ((low <= target) & (target <= high))[left]
    return rank, float(np.mean(np.abs(predicted - target)[left] / target[left])), float(inside.mean())


def test_ten_measurements_are_better_than_none_and_their_intervals_hold(devices: SourceDevices, table: ParameterTable) -> None:
    inside = []
    for device in (20, 21, 22, 23):
        target = latencies(table, device)
        before, after = (judged(devices, target, devices.choose(n, seed=1)) for n in (0, 10))
        assert after[0] > 0.985 and after[0] > before[0]
        assert after[1] < 0.06 and after[1] < before[1]
        inside.append(after[2])
    assert 0.8 < np.mean(inside) < 1.0


def test_chosen_designs_tell_more_than_random_ones(devices: SourceDevices, table: ParameterTable) -> None:
    chosen, random = [], []
    for device in range(30, 35):
        target = latencies(table, device)
        chosen.append(judged(devices, target, devices.choose(6, seed=device))[1])
        random.append(judged(devices, target, np.random.default_rng(device).permutation(len(table))[:6])[1])
    assert np.mean(chosen) < np.mean(random)


def test_a_shorter_choice_begins_a_longer_one_and_follows_from_the_seed(devices: SourceDevices) -> None:
    ten = devices.choose(10, seed=3)
    assert devices.choose(4, seed=3).tolist() == ten[:4].tolist()
    assert len(set(ten.tolist())) == 10 and devices.choose(10, seed=4).tolist() != ten.tolist()


def test_each_choice_takes_the_most_off_the_summed_variance(devices: SourceDevices) -> None:
    """By brute force, on a problem small enough to try every design."""
    from codesign.surrogate.transfer import _most_telling

    rng = np.random.default_rng(2)
    candidates, reference = rng.normal(size=(12, 4)), rng.normal(size=(9, 4))

    def left(rows: list[int]) -> float:
        known = candidates[rows]
        inside = np.linalg.inv(known @ known.T + 0.3 * np.eye(len(rows)))
        return float(np.trace(reference @ reference.T - reference @ known.T @ inside @ known @ reference.T))

    found = _most_telling(candidates, reference, 0.3, 4)
    for place in range(4):
        others = [row for row in range(12) if row not in found[:place]]
        assert found[place] == min(others, key=lambda row: left([*found[:place], row]))


def test_the_posterior_is_that_of_gpytorch(devices: SourceDevices, table: ParameterTable) -> None:
    """Of one hypothesis, as an exact process with the kernel written out."""
    rows, target = devices.choose(12, seed=0), latencies(table, 40)
    prior, one = devices.prior.rows(rows), GRID[len(GRID) // 2]
    shown = devices.prior.rows(np.arange(30))
    columns = [
        torch.from_numpy(np.hstack([part.common, one.factors * part.factors, one.corrections * part.corrections, part.embedded])) for part in (prior, shown)
    ]
    width = columns[0].shape[1] - prior.embedded.shape[1]

    class Written(gpytorch.kernels.Kernel):
        def __init__(self) -> None:
            super().__init__()
            self.matern = gpytorch.kernels.MaternKernel(2.5)
            self.matern.lengthscale = 1.0

        def forward(self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **_: object) -> torch.Tensor:
            linear = x1[..., :width] @ x2[..., :width].mT
            dense = linear + one.process**2 * self.matern(x1[..., width:], x2[..., width:]).to_dense()
            return dense.diagonal() if diag else dense

    class Process(gpytorch.models.ExactGP):
        def __init__(self) -> None:
            likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=gpytorch.constraints.GreaterThan(1e-12))
            likelihood.noise = one.noise**2
            super().__init__(columns[0], torch.from_numpy(np.log(target[rows]) - prior.mean), likelihood)
            self.mean_module, self.covar_module = gpytorch.means.ZeroMean(), Written()

        def forward(self, x: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    process = Process().double().eval()
    with torch.no_grad(), gpytorch.settings.fast_computations(False, False, False):
        posterior = process(columns[1])
    device = devices.adapt(rows, target[rows])
    ours = condition(Gram.of(prior, prior), np.log(target[rows]) - prior.mean, one, np.zeros(12))
    alone = type(device)(devices.prior, prior, [(GRID.index(one), ours)], np.ones(1), 0.0)
    mean, std = alone.moments
    np.testing.assert_allclose(mean[:30] - shown.mean, posterior.mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.sqrt(std[:30] ** 2 - one.noise**2), posterior.stddev.numpy(), atol=1e-5)


def test_more_hypotheses_give_the_moments_of_their_mixture(devices: SourceDevices, table: ParameterTable) -> None:
    rows, target = devices.choose(5, seed=0), latencies(table, 41)
    device = devices.adapt(rows, target[rows])
    assert len(device.posteriors) > 3 and device.weights.sum() == pytest.approx(1.0)
    alone = [type(device)(devices.prior, device.measured, [one], np.ones(1), 0.0).moments for one in device.posteriors]
    mean = sum(weight * moments[0] for weight, moments in zip(device.weights, alone, strict=True))
    square = sum(weight * (moments[1] ** 2 + moments[0] ** 2) for weight, moments in zip(device.weights, alone, strict=True))
    np.testing.assert_allclose(device.moments[0], mean)
    np.testing.assert_allclose(device.moments[1], np.sqrt(square - mean**2), rtol=1e-6)


def test_noise_is_learned_from_the_sources(table: ParameterTable) -> None:
    """Before a measurement, noisy sources promise a noisy device."""
    expected = []
    for noise in (0.01, 0.16):
        devices = SourceDevices(table, np.column_stack([latencies(table, device, noise) for device in range(5)]))
        expected.append(np.exp(devices.hypotheses @ np.log([one.noise for one in GRID])))
    assert expected[0] < 0.03 and expected[1] > 0.1


def test_one_source_is_enough_to_start_from(table: ParameterTable) -> None:
    source, gains = latencies(table, 0), []
    one = SourceDevices(table, source[:, None])
    np.testing.assert_array_equal(one.hypotheses, prior_weights())
    for device in (20, 21, 22, 23):
        target = latencies(table, device)
        gains.append(judged(one, target, one.choose(10, seed=0))[0] - (spearman(source, target) or 0.0))
    assert np.mean(gains) > 0.0 and judged(one, target, one.choose(10, seed=0))[1] < 0.1


def test_coarse_clocks_widen_the_interval(devices: SourceDevices, table: ParameterTable) -> None:
    rows, target = devices.choose(8, seed=0), latencies(table, 42)
    fine, coarse = (devices.adapt(rows, target[rows], step) for step in (0.0, 20.0))
    assert (coarse.moments[1] > fine.moments[1]).all()


def test_sources_like_the_target_count_more(table: ParameterTable) -> None:
    """Of two kinds of devices, the descriptors say which the new one is."""
    latency = np.column_stack([latencies(table, 50, 0.0), latencies(table, 51, 0.0)])
    descriptors = np.array([[1.0, 10.0], [5.0, 10.0]])
    for kind in (0, 1):
        devices = SourceDevices(table, latency, descriptors, descriptors[kind])
        found = devices.adapt(np.empty(0, dtype=np.intp), np.empty(0)).latency()
        plain = SourceDevices(table, latency).adapt(np.empty(0, dtype=np.intp), np.empty(0)).latency()
        ranks = [spearman(one, latency[:, kind]) for one in (found, plain)]
        assert ranks[0] is not None and ranks[1] is not None and ranks[0] > ranks[1]


def test_an_analytic_model_of_the_product_is_a_source() -> None:
    """pe_array's own latency as the source; the target has an overhead, slower memory, and one that falls with the rows."""
    specification = StudySpecification(schema=1, name="x", task="kws", device="pynq-z2", blueprints=("tcresnet",), templates=("pe_array",))
    joint = specification.joint_space()
    designs = joint.space.sample(600, np.random.default_rng(0))
    analytic = price(joint, designs).values["latency_us"]
    table = ParameterTable.of_space(joint.space, designs)
    tall = table.values[:, table.names.index(next(name for name in table.names if name.endswith("rows")))]
    target = 40.0 + 1.7 * analytic**1.1 * np.exp(-0.08 * tall)
    devices = SourceDevices(table, analytic[:, None], exact=True)
    ranks, errors, scaled = [], [], []
    for seed in range(3):
        rows = devices.choose(20, seed)
        rank, error, _ = judged(devices, target, rows)
        ranks.append(rank)
        errors.append(error)
        one_factor = analytic * np.exp(np.mean(np.log(target[rows] / analytic[rows])))
        scaled.append(float(np.mean(np.abs(one_factor - target) / target)))
    assert min(ranks) > (spearman(analytic, target) or 0.0) and np.mean(errors) < 0.75 * np.mean(scaled)


def test_interactions_of_the_largest_effects_come_first() -> None:
    """Sixty rows hold 30 columns: 16 of main effects, then the pair that makes the latency."""
    table = networks(60)
    target = 5.0 * table.values[:, 0] * table.values[:, 5] + 0.1 * table.values[:, 1]
    basis = EffectBasis(table, target[:, None])
    assert basis.matrix.shape[1] <= 30
    coefficients, rows = basis.fit(target), np.arange(60)
    assert float(np.std(basis.matrix @ coefficients - target)) < 0.2 * float(np.std(target))
    both, first, last = (basis.part(coefficients, parameters, rows) for parameters in ((0, 5), (0,), (5,)))
    assert float(np.std(both - first - last)) > 0.2 * float(np.std(target))


def test_of_exact_sources_nothing_is_smoothed_away(table: ParameterTable) -> None:
    source = latencies(table, 0, noise=0.1)
    before = [SourceDevices(table, source[:, None], exact=exact).prior.mean for exact in (True, False)]
    np.testing.assert_allclose(before[0], np.log(source))
    assert np.std(before[1] - np.log(source)) > 0.01


def test_a_source_that_never_varies_does_no_harm(table: ParameterTable) -> None:
    target = latencies(table, 23)
    for source in (np.full((500, 1), 3.0), np.column_stack([np.full(500, 3.0), latencies(table, 0)])):
        devices = SourceDevices(table, source)
        rows = devices.choose(20, seed=0)
        assert judged(devices, target, rows)[0] > 0.0
    assert judged(devices, target, rows)[0] > 0.95


def test_inactive_parameters_are_a_value_of_their_own() -> None:
    specification = StudySpecification(schema=1, name="x", task="kws", device="pynq-z2", blueprints=("tcresnet",), templates=("pe_array",))
    joint = specification.joint_space()
    designs = joint.space.sample(50, np.random.default_rng(0))
    table = ParameterTable.of_space(joint.space, designs)
    _, active = joint.space.unit(designs)
    assert ((table.values == -1) == ~active).all()


def test_contrasts_are_orthonormal_over_the_levels() -> None:
    """Of a categorical parameter, of an ordered one of many levels, and of one that is not always active."""
    values = np.array([[0, 0, -1], [1, 1, 0], [2, 2, 1], [3, 3, 2], [0, 4, -1], [1, 5, 0]])
    table = ParameterTable(("a", "b", "c"), (False, True, True), values)
    for column, block, width in zip(values.T, table.contrasts, (3, 3, 3), strict=True):
        levels = block[np.unique(column, return_index=True)[1]]
        assert block.shape == (6, width)
        np.testing.assert_allclose(levels.T @ levels / len(levels), np.eye(width), atol=1e-12)
        np.testing.assert_allclose(levels.mean(axis=0), 0.0, atol=1e-12)
    once = ParameterTable(("a", "b"), (False, True), np.full((4, 2), 2))
    assert [block.shape for block in once.contrasts] == [(4, 0), (4, 0)]


def test_names_tell_stages_and_kinds() -> None:
    rng = np.random.default_rng(0)
    table = ParameterTable(("block2_e", "block10_e", "block2_k", "block10_k", "stem"), (True,) * 5, rng.integers(0, [3, 3, 2, 3, 2], size=(50, 5)))
    assert table.stages == ((0, 2), (1, 3))
    assert table.kinds == ((0, 1), (2,), (3,), (4,))


@pytest.mark.parametrize(
    ("latency", "message"),
    [
        (np.ones((500, 0)), "one column a source"),
        (np.ones((499, 1)), "for 500 designs"),
        (np.zeros((500, 1)), "positive and finite"),
        (np.full((500, 1), np.nan), "positive and finite"),
    ],
)
def test_wrong_sources_are_told(table: ParameterTable, latency: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SourceDevices(table, latency)


def test_wrong_descriptors_are_told(table: ParameterTable) -> None:
    with pytest.raises(ValueError, match=r"descriptors of shape \(2, 3\) and \(3,\) for 1 sources"):
        SourceDevices(table, np.ones((500, 1)), np.ones((2, 3)), np.ones(3))


def test_wrong_measurements_are_told(devices: SourceDevices) -> None:
    with pytest.raises(ValueError, match="2 positive measurements"):
        devices.adapt(np.array([0, 1]), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="501 designs of 500"):
        devices.choose(501, seed=0)


def test_wrong_tables_are_told() -> None:
    with pytest.raises(ValueError, match="1 names and 1 kinds for parameters of shape"):
        ParameterTable(("a",), (True,), np.zeros((3, 2), dtype=np.int64))
