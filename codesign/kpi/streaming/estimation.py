"""What a user's own model costs on a device, whether it fits, and the reuse factors that make it fit with the least latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codesign.accelerator.device import Family
from codesign.errors import InputError
from codesign.estimate import Estimate, Evidence, KpiReport
from codesign.kpi.power import power_coefficients
from codesign.kpi.reuse import legal_reuse_factors
from codesign.kpi.reuse_program import WHOLE_CYCLE, Options, ReuseProgram, Setting
from codesign.kpi.streaming.costs import pipeline_handover
from codesign.kpi.streaming.estimates import COUNTED, Advice, LayerEstimate, ModelEstimate, Request, SweepPoint
from codesign.kpi.streaming.feasibility import LIKELY, Obstacle
from codesign.kpi.streaming.flow import Stage
from codesign.kpi.streaming.hls_table import DEPTHWISE, GRU_GATES, IO_STREAM, LSTM_GATES, HlsTable
from codesign.kpi.streaming.power import dynamic_energy_uj
from codesign.kpi.streaming.predictions import Predictions, predict, predict_table
from codesign.kpi.template_model import FloatArray
from codesign.network.hls_model import CONVOLUTIONS, RECURRENT, WEIGHTED, HlsLayer, HlsModel, Kind, Strategy

SOURCE = "streaming model"
LARGEST_LATENCY_REUSE = 128
"""Reuse factors of Latency strategy that are advised; reports of it end at 100."""
MOST_LAYERS = 2_000
"""Layers of a model that is still priced in seconds."""
SWEEP_POINTS = 16
SWEEP_BEYOND = 4.0
"""Share of a device up to which a sweep looks for the best settings."""
SWEEP_GAP = 0.01
"""Relative distance from the least latency at which a point of a sweep is good enough."""


class Estimator:
    """Estimates of one model.

    Raises:
        InputError: too many layers, or a strategy that hls4ml has not for a layer.
    """

    def __init__(self, model: HlsModel, request: Request) -> None:
        if len(model) > MOST_LAYERS:
            raise InputError(f"has {len(model):,} layers", where=f"model {model.name}", remedy=f"Give one of at most {MOST_LAYERS:,}")
        self.model, self.request = model, request
        self._check_strategies()
        self.weighted = tuple(layer for layer in model if layer.kind in WEIGHTED)

    def _check_strategies(self) -> None:
        for layer in self.model:
            strategy = self.request.strategy if layer.strategy is None else layer.strategy
            unsupported = layer.kind in RECURRENT or layer.kind in DEPTHWISE
            if strategy is Strategy.DISTRIBUTED_ARITHMETIC and unsupported:
                raise InputError(
                    f"hls4ml has no distributed arithmetic for a {layer.kind.name.lower()} layer", where=f"layer {layer.name}", remedy="Set another strategy"
                )

    def estimate(self, chosen: Mapping[str, int] | None = None) -> ModelEstimate:
        """The model as its file and the request say, or with the reuse factors ``chosen``."""
        found = predict([self.model], [self.request.build(chosen)], self.request.flow)
        layers = tuple(self._layer(found, slot, layer) for slot, layer in enumerate(self.model) if layer.kind not in {Kind.INPUT, Kind.RESHAPE})
        kpis = self._kpis(found)
        used = {name: kpis[name].value / max(count, 1e-9) for name, count in zip(COUNTED, self.request.available, strict=True)}
        stopped = [layer for layer in layers if layer.failure >= LIKELY]
        over = [name for name, share in used.items() if share > 1.0]
        fullest = max(used, key=lambda name: used[name])
        binding = f"layer {stopped[0].name}: {stopped[0].obstacle}" if stopped else f"{fullest.upper()}, {used[fullest]:.0%} of what may be used"
        reuse = {layer.name: estimated.reuse_factor for layer in self.weighted for estimated in layers if estimated.name == layer.name}
        return ModelEstimate(reuse, layers, kpis, used, not stopped and not over, binding, self._cautions())

    def _cautions(self) -> tuple[str, ...]:
        """Kinds of designs that hardly any synthesis backs."""
        said = []
        stream = self.request.io_type == IO_STREAM
        if not stream and any(layer.kind in CONVOLUTIONS for layer in self.weighted):
            said.append("Convolutions in io_parallel copy their window for every position; the two reports there are took far more LUT than stated here.")
        if stream and self.request.flow.stage is Stage.POST_SYNTH:
            said.append(
                "No design in streams was at hand after synthesis by this flow: figures come from HLS reports, scaled; expect factors, as the intervals say."
            )
        if any(layer.strategy is Strategy.DISTRIBUTED_ARITHMETIC for layer in self.weighted):
            said.append("Distributed arithmetic takes reuse factor 1 whatever is asked; LUT are those of da4ml's adders, registers those of the results.")
        if self.request.device.family is Family.ECP5:
            said.append("Vitis HLS does not build for this part; LUT, DSP and memory are counted as on an AMD part.")
        return tuple(said)

    def _layer(self, found: Predictions, slot: int, layer: HlsLayer) -> LayerEstimate:
        rows = np.flatnonzero(found.table.slot == slot)
        costs, own = found.layers, rows[-1]
        worst = rows[np.argmax(found.feasibility.failure[rows])]
        return LayerEstimate(
            name=layer.name,
            kind=layer.kind.name.lower(),
            reuse_factor=int(max(found.table.reuse[own], found.table.recurrent_reuse[own])) if layer.kind in WEIGHTED else 0,
            multipliers=int(costs.multipliers[rows].sum()),
            cycles=int(np.round(costs.latency[rows].max())),
            interval=int(np.round(costs.interval[rows].max())),
            lut=float(costs.lut[rows].sum()),
            ff=float(costs.ff[rows].sum()),
            dsp=float(costs.dsp[rows].sum()),
            bram18=float(costs.bram18[rows].sum()),
            failure=float(found.feasibility.failure[worst]),
            obstacle=Obstacle(int(found.feasibility.obstacle[worst])).text,
        )

    def _kpis(self, found: Predictions) -> KpiReport:
        """Totals with 95 % intervals; power and energy of one inference at a time."""
        request, device = self.request, self.request.device
        kpis: dict[str, Estimate] = {}
        for name, figure in (("latency_cycles", "latency"), ("interval_cycles", "interval")):
            kpis[name] = _bounded(found, figure, "cycles", 1.0)
        kpis["latency_us"] = _bounded(found, "latency", "us", 1.0 / request.clock_mhz)
        interval_us = _bounded(found, "interval", "us", 1.0 / request.clock_mhz)
        shortest = max(interval_us.low, 1.0 / request.clock_mhz)
        kpis["throughput_per_s"] = Estimate(1e6 / interval_us.value, "1/s", 1e6 / interval_us.high, 1e6 / shortest, Evidence.ANALYTIC, SOURCE)
        kpis |= {name: _bounded(found, name, "count", 1.0) for name in COUNTED}
        cycle_us, crossing = 1.0 / request.clock_mhz, self._crossing()
        # One inference at a time, and not faster than its input and result cross the border.
        busy_us = max(kpis["latency_us"].value, cycle_us, float(crossing[0]) / (device.off_chip_gbyte_per_s.value * 1e3))
        dynamic = float(dynamic_energy_uj(found.table, found.layers, found.network, crossing, device)[0])
        energy = dynamic + device.static_w.value * busy_us
        coefficients = power_coefficients()
        share = dynamic / energy
        error = share * coefficients.error.value + (1.0 - share) * coefficients.static_error.value
        base = device.board_base_w.value
        base_error = device.board_base_w.error if device.board_base_w.error is not None else coefficients.static_error.value
        power = energy / busy_us
        kpis["power_w"] = Estimate.relative(power, "W", error, Evidence.ANALYTIC, SOURCE)
        board_error = (base * base_error + power * error) / (base + power)
        kpis["board_power_w"] = Estimate.relative(base + power, "W", board_error, Evidence.ANALYTIC, SOURCE)
        spread = max(kpis["latency_us"].high, cycle_us) / max(kpis["latency_us"].value, cycle_us) - 1.0
        kpis["energy_uj"] = Estimate.relative(energy, "uJ", error + spread, Evidence.ANALYTIC, SOURCE)
        return kpis

    def _crossing(self) -> FloatArray:
        """Bytes of the model's inputs and results (1,)."""
        read = {source for layer in self.model for source in layer.inputs}
        entered = [layer.in_h * layer.in_w * layer.in_c * layer.input_bits for layer in self.model if not layer.inputs and layer.kind is not Kind.INPUT]
        entered += [layer.out_h * layer.out_w * layer.out_c * layer.output_bits for layer in self.model if layer.kind is Kind.INPUT]
        left = [layer.out_h * layer.out_w * layer.out_c * layer.output_bits for layer in self.model if layer.name not in read]
        return np.array([(sum(entered) + sum(left)) / 8.0])

    def advise(self) -> Advice:
        """The reuse factors with the least latency within the limits; where nothing fits, those with the least utilisation."""
        program, fixed = self._program()
        limits = self.request.available - fixed
        setting = program.least_latency(limits) if (limits >= 0).all() else None
        if setting is None:
            closest, _ = program.least_utilisation(self.request.available, fixed)
            return Advice(self.estimate(closest.reuse), fits=False, optimal=False, latency_bound=0.0)
        candidates = [self.estimate(setting.reuse)]
        if self.request.io_type != IO_STREAM:  # all layers unrolled are one pipeline, which hands over in another way
            candidates.append(self.estimate(dict.fromkeys(setting.reuse, 1)))
        found = min((each for each in candidates if each.fits), key=_cycles, default=candidates[0])
        bound = min(setting.bound, *(_cycles(each) for each in candidates if each.fits)) if found.fits else setting.bound
        if program.settings == 1:
            bound = _cycles(found)
        return Advice(found, fits=found.fits, optimal=found.fits and _cycles(found) <= bound + WHOLE_CYCLE, latency_bound=bound)

    def sweep(self, points: int = SWEEP_POINTS) -> tuple[SweepPoint, ...]:
        """Latency against resources: best settings from the smallest to the fastest, and uniform ones.

        The best are the settings of least latency with all resources within a common share of what may be used, for
        ``points`` shares in geometric steps: from the least that any setting needs to four times the device, or four times
        that least.
        """
        program, fixed = self._program()
        available = self.request.available
        smallest, least = program.least_utilisation(available, fixed)
        fastest = program.least_latency(np.full(len(available), 1e12), gap=SWEEP_GAP)
        top = max(float(((fastest.resources + fixed) / np.maximum(available, 1.0)).max()), least) if fastest else least
        top = min(top, max(SWEEP_BEYOND, SWEEP_BEYOND * least))
        settings: dict[tuple[int, ...], Setting] = {tuple(smallest.reuse.values()): smallest}
        for share in np.geomspace(max(least, 1e-6), max(top, 1e-6) * 1.001, points):
            found = program.least_latency(available * share - fixed, gap=SWEEP_GAP)
            if found is not None:
                settings.setdefault(tuple(found.reuse.values()), found)
        uniform = sorted({factor for layer in self.weighted for factor in _legal(layer)})
        if len(uniform) > points:
            uniform = [uniform[place] for place in np.unique(np.linspace(0, len(uniform) - 1, points).round().astype(int))]
        asked = [setting.reuse for setting in settings.values()]
        asked += [dict.fromkeys((layer.name for layer in self.weighted), factor) for factor in uniform]
        return self._points(asked, len(settings))

    def _points(self, asked: Sequence[dict[str, int]], best: int) -> tuple[SweepPoint, ...]:
        found = predict([self.model] * len(asked), [self.request.build(reuse) for reuse in asked], self.request.flow)
        shares = {name: found.values(name) / max(count, 1e-9) for name, count in zip(COUNTED, self.request.available, strict=True)}
        latency_us = found.network.latency / self.request.clock_mhz
        built = found.failure < LIKELY
        made = []
        for row, reuse in enumerate(asked):
            if built[row]:
                used = {name: float(share[row]) for name, share in shares.items()}
                made.append(SweepPoint(row >= best, reuse, float(latency_us[row]), used))
        return tuple(made)

    def _program(self) -> tuple[ReuseProgram, FloatArray]:
        """The integer program over all legal reuse factors, and what no choice changes, in counts.

        Raises:
            InputError: no layer has weights, or one that no legal reuse factor makes buildable.
        """
        if not self.weighted:
            raise InputError("has no layer with a reuse factor", where=f"model {self.model.name}", remedy="Give a model with weights")
        builds = {layer.name: self._choices(layer) for layer in self.weighted}
        width = max(len(factors) for factors in builds.values())
        table = HlsTable.from_models(
            [self.model] * width,
            [self.request.build({name: factors[min(place, len(factors) - 1)] for name, factors in builds.items()}) for place in range(width)],
        )
        found = predict_table(table, self.request.flow)
        weighted_slots = {slot for slot, layer in enumerate(self.model) if layer.kind in WEIGHTED}
        others = (table.design == 0) & ~np.isin(table.slot, list(weighted_slots))
        costs = found.layers
        resources = np.column_stack([getattr(costs, name) for name in COUNTED])
        options = []
        for slot, layer in enumerate(self.model):
            if slot in weighted_slots:
                options.append(self._options(layer, builds[layer.name], found, slot, resources))
        rest = float(costs.rest[others].max(initial=0.0))
        between = 0.0 if self.request.io_type == IO_STREAM else self._handover(table)
        program = ReuseProgram(options, fixed_fill=float(costs.fill[others].sum()) + between, fixed_rest=rest)
        return program, np.asarray(resources[others].sum(axis=0))

    def _handover(self, table: HlsTable) -> float:
        """Cycles between layers of an io_parallel design: one after the other, or one pipeline where none can take turns."""
        turns = any((self.request.strategy if layer.strategy is None else layer.strategy) is Strategy.RESOURCE for layer in self.weighted)
        return float(len(self.weighted) - 1) if turns else float(pipeline_handover(table)[0])

    def _choices(self, layer: HlsLayer) -> tuple[int, ...]:
        strategy = self.request.strategy if layer.strategy is None else layer.strategy
        if strategy is Strategy.DISTRIBUTED_ARITHMETIC:
            return (1,)
        legal = _legal(layer)
        return tuple(factor for factor in legal if factor <= LARGEST_LATENCY_REUSE) if strategy is Strategy.LATENCY else legal

    def _options(self, layer: HlsLayer, factors: Sequence[int], found: Predictions, slot: int, resources: FloatArray) -> Options:
        """One option for each legal reuse factor that the tool is not likely to fail on."""
        size = found.table.count
        mine = found.table.slot == slot
        design = found.table.design[mine]

        def total(values: FloatArray) -> FloatArray:
            return np.bincount(design, weights=values[mine], minlength=size)[: len(factors)].astype(np.float64)

        rest, failure = np.zeros(size), np.zeros(size)
        np.maximum.at(rest, design, found.layers.rest[mine])
        np.maximum.at(failure, design, found.feasibility.failure[mine])
        kept = failure[: len(factors)] < LIKELY
        if not kept.any():
            worst = int(found.feasibility.obstacle[mine].max())
            raise InputError(
                f"no legal reuse factor makes it buildable: {Obstacle(worst).text}",
                where=f"layer {layer.name}",
                remedy="Use Resource strategy, or a smaller layer",
            )
        counts = np.column_stack([total(resources[:, column]) for column in range(resources.shape[1])])
        return Options(layer.name, np.array(factors)[kept], total(found.layers.fill)[kept], rest[: len(factors)][kept], counts[kept])


def _cycles(estimate: ModelEstimate) -> float:
    return estimate.kpis["latency_cycles"].value


def _bounded(found: Predictions, figure: str, unit: str, factor: float) -> Estimate:
    value = float(found.values(figure)[0])
    low, high = min(float(found.low[figure][0]), value), max(float(found.high[figure][0]), value)
    return Estimate(value * factor, unit, low * factor, high * factor, Evidence.ANALYTIC, SOURCE)


def _legal(layer: HlsLayer) -> tuple[int, ...]:
    """Reuse factors worth asking of a layer: those that are legal for one of its products."""
    if layer.kind in DEPTHWISE:
        return legal_reuse_factors(layer.kernel_h * layer.kernel_w * layer.in_c, 1)
    if layer.kind in RECURRENT:
        outputs = layer.out_c * (LSTM_GATES if layer.kind is Kind.LSTM else GRU_GATES)
        return tuple(sorted({*legal_reuse_factors(layer.in_c, outputs), *legal_reuse_factors(layer.out_c, outputs)}))
    return legal_reuse_factors(layer.fan_in, layer.out_c)
