"""Cycles of one network on one `pe_array`, walked phase by phase in plain Python as the contract tells it.

Written from ``accel_templates/pe_array/ARCHITECTURE.md`` alone: every output position and tap is visited, every tile and
phase is listed. Nothing is shared with `codesign.accelerator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, gcd

from codesign.network.layers import Layer, Op

FULL = (Op.DENSE, Op.CONV1D, Op.CONV2D)
SHARED = (Op.ADD, Op.GLOBAL_POOL)


@dataclass
class Reference:
    """Totals of a walk.

    Attributes:
        cycles: of the program.
        layers: cycles by slot, all runs.
        compute, load, store: cycles by slot of the computations and movements, all runs.
        weight_words, activation_words, output_words: words moved, by slot, all runs.
        phases: instructions without the halt.
    """

    cycles: int = 0
    layers: dict[int, int] = field(default_factory=dict)
    compute: dict[int, int] = field(default_factory=dict)
    load: dict[int, int] = field(default_factory=dict)
    store: dict[int, int] = field(default_factory=dict)
    weight_words: dict[int, int] = field(default_factory=dict)
    activation_words: dict[int, int] = field(default_factory=dict)
    output_words: dict[int, int] = field(default_factory=dict)
    phases: int = 0


class Walk:
    """One network, one array (``a``: the fields of ArrayShape as ints), one set of constants (``k``)."""

    def __init__(self, layers: Sequence[Layer], a: Mapping[str, int], k: Mapping[str, int]) -> None:
        self.layers, self.a, self.k = list(layers), a, k
        self.G = gcd(a["rows"], a["columns"])
        self.bias_words = ceil(16 / (a["columns"] * a["weight_bits"]))
        self.weight_beats = ceil(a["rows"] * a["columns"] * a["weight_bits"] / a["bus_bits"])
        self.word_beats = ceil(a["columns"] * a["activation_bits"] / a["bus_bits"])
        self.fetch = a["latency"] + k["fetch"] + ceil(896 / a["bus_bits"])
        self.readers = [[j for j, r in enumerate(self.layers) if i in (r.input_a, r.input_b)] for i in range(len(self.layers))]

    # Shapes

    def map_of(self, slot: int) -> tuple[int, int, int]:
        own = self.layers[slot]
        if own.op is Op.INPUT and all(self.layers[j].op is Op.DENSE for j in self.readers[slot]):
            return 1, 1, own.out_h * own.out_w * own.out_c
        return own.out_h, own.out_w, own.out_c

    def planes(self, channels: int) -> int:
        return -(-channels // self.a["columns"])

    def map_words(self, slot: int) -> int:
        h, w, c = self.map_of(slot)
        return h * w * self.planes(c)

    def axes(self, slot: int) -> dict[str, int]:
        own = self.layers[slot]
        h, w, c = self.map_of(own.input_a)
        kh, kw, sh, sw, ph, pw = own.kernel_h, own.kernel_w, own.stride_h, own.stride_w, own.pad_h, own.pad_w
        if own.op in (Op.DENSE, Op.GLOBAL_POOL):
            kh, kw, sh, sw, ph, pw = h, w, 1, 1, 0, 0
        oh, ow = own.out_h, own.out_w
        if h == 1 and oh == 1:
            h, w, kh, kw, sh, sw, ph, pw, oh, ow = w, h, kw, kh, sw, sh, pw, ph, ow, oh
        return {"h": h, "w": w, "c": c, "kh": kh, "kw": kw, "sh": sh, "sw": sw, "ph": ph, "pw": pw, "oh": oh, "ow": ow}

    def group_channels(self, slot: int) -> int:
        return self.a["rows"] if self.layers[slot].op in FULL else self.G

    def groups(self, slot: int) -> int:
        return -(-self.layers[slot].out_c // self.group_channels(slot))

    def group_words(self, slot: int) -> int:
        own, x = self.layers[slot], self.axes(slot)
        if own.op is Op.ADD:
            return self.bias_words + 2
        if own.op is Op.GLOBAL_POOL:
            return self.bias_words + 1
        return self.bias_words + x["kh"] * x["kw"] * (self.planes(x["c"]) if own.op in FULL else 1)

    def layer_words(self, slot: int) -> int:
        return self.group_words(slot) * (1 if self.layers[slot].op in SHARED else self.groups(slot))

    # What stays

    def weights_stay(self) -> bool:
        return sum(self.layer_words(j) for j in range(len(self.layers)) if self.layers[j].op is not Op.INPUT) <= self.a["banks"] * self.a["weight_words"]

    def maps_peak(self) -> int:
        worst, final = 0, len(self.layers) - 1
        for now, own in enumerate(self.layers):
            held = {i for i in range(now) if self.readers[i] and max(self.readers[i]) >= now}
            total = sum(self.map_words(i) for i in held)
            in_place = own.op is Op.ADD and any(max(self.readers[i]) == now for i in (own.input_a, own.input_b))
            if now != final and not in_place:
                total += self.map_words(now)
            worst = max(worst, total)
        return worst

    def maps_stay(self) -> bool:
        result = self.map_words(len(self.layers) - 1)
        return self.maps_peak() <= self.a["banks"] * self.a["activation_words"] and result <= self.a["output_words"]

    # Cycles

    def existing(self, slot: int) -> list[list[int]]:
        """Steps of each position, by output row."""
        own, x = self.layers[slot], self.axes(slot)
        across = self.planes(x["c"]) if own.op in FULL else 2 if own.op is Op.ADD else 1
        found = []
        for oy in range(x["oh"]):
            row = []
            for ox in range(x["ow"]):
                count = 0
                for ky in range(x["kh"]):
                    for kx in range(x["kw"]):
                        iy, ix = oy * x["sh"] - x["ph"] + ky, ox * x["sw"] - x["pw"] + kx
                        count += bool(self.a["full_taps"]) or (0 <= iy < x["h"] and 0 <= ix < x["w"])
                row.append(count * across)
            found.append(row)
        return found

    def slots(self, slot: int) -> int:
        bits = self.a["weight_bits"]
        return max(0, ceil((10 - bits) / (bits - 1))) if self.layers[slot].op is Op.ADD else 0

    def compute(self, slot: int, existing: list[list[int]], groups: int, rows: range) -> int:
        chunks = self.a["rows"] // self.G if self.layers[slot].op in FULL else 1
        slots = self.slots(slot)
        gap = max(0, chunks - min(count + slots for row in existing for count in row))
        positions = sum(count + slots + gap for y in rows for count in existing[y])
        total = self.k["compute"] + (1 if self.a["columns"] <= 8 else 2) + chunks
        for _ in range(groups):
            total += max(self.bias_words + positions, self.bias_words + self.k["group_minimum"])
        return total

    def run(self, orders: Mapping[int, tuple[int, int, int]]) -> Reference:
        """The whole program; ``orders`` has (order, group_tile, row_tile) by slot."""
        done = Reference()
        done.cycles = self.k["start"] + self.fetch
        weights_stay, maps_stay = self.weights_stay(), self.maps_stay()
        if maps_stay:
            words = self.map_words(0)
            done.cycles += self.k["phase"] + self.k["data"] + self.fetch + self.a["latency"] + self.k["load"] + words * self.word_beats
            done.phases += 1
            done.activation_words[0] = words
        for slot in range(1, len(self.layers)):
            final = slot == len(self.layers) - 1
            runs = ceil(self.layers[slot].accumulator_bits / self.a["activation_bits"]) if final else 1
            for _ in range(runs):
                self.layer(done, slot, orders[slot], weights_stay, maps_stay, stores=final or not maps_stay)
        return done

    def layer(self, done: Reference, slot: int, tiling: tuple[int, int, int], weights_stay: bool, maps_stay: bool, *, stores: bool) -> None:
        own, x, existing = self.layers[slot], self.axes(slot), self.existing(slot)
        order, group_tile, row_tile = tiling
        across, down = ceil(self.groups(slot) / group_tile), ceil(x["oh"] / row_tile)
        tiles = [(w, s) for w in range(across) for s in range(down)]
        if order == 1:
            tiles.sort(key=lambda tile: (tile[1], tile[0]))

        def groups_of(w: int) -> range:
            return range(w * group_tile, min((w + 1) * group_tile, self.groups(slot)))

        def rows_of(s: int) -> range:
            return range(s * row_tile, min((s + 1) * row_tile, x["oh"]))

        def planes_of(w: int) -> int:
            d = self.group_channels(slot)
            channels = range(groups_of(w)[0] * d, min((groups_of(w)[-1] + 1) * d, own.out_c))
            return len({channel // self.a["columns"] for channel in channels})

        def count(of: dict[int, int], words: int) -> None:
            of[slot] = of.get(slot, 0) + words

        def loads(number: int) -> int:
            """Cycles of the loads of a tile."""
            w, s = tiles[number]
            before = tiles[number - 1] if number else (None, None)
            total = 0
            if not weights_stay:
                words = 0
                if own.op is Op.GLOBAL_POOL:
                    words = self.group_words(slot) if number == 0 else 0
                elif own.op is not Op.ADD and w != before[0]:
                    words = len(groups_of(w)) * self.group_words(slot)
                if words:
                    total += self.a["latency"] + self.k["load"] + words * self.weight_beats
                    count(done.weight_words, words)
            if not maps_stay and (own.op not in FULL or s != before[1]):
                read = [y * x["sh"] - x["ph"] + ky for y in rows_of(s) for ky in range(x["kh"])]
                rows = min(max(read), x["h"] - 1) - max(min(read), 0) + 1
                planes = self.planes(x["c"]) if own.op in FULL else planes_of(w)
                for _ in range(2 if own.op is Op.ADD else 1):
                    total += self.a["latency"] + self.k["load"] + planes * rows * x["w"] * self.word_beats
                    count(done.activation_words, planes * rows * x["w"])
            return total

        def stored(number: int) -> int:
            """Cycles of the store of a tile's results."""
            if not stores or number < 0:
                return 0
            w, s = tiles[number]
            words = planes_of(w) * len(rows_of(s)) * x["ow"]
            count(done.output_words, words)
            return self.a["latency"] + self.k["store"] + words * self.word_beats

        phases: list[tuple[int, int, int]] = []  # compute, load, store cycles
        if own.op is Op.ADD and not weights_stay:
            phases.append((0, self.a["latency"] + self.k["load"] + self.group_words(slot) * self.weight_beats, 0))
            count(done.weight_words, self.group_words(slot))
        if self.a["banks"] == 2:
            phases.append((0, loads(0), 0))
        for number, (w, s) in enumerate(tiles):
            computation = self.compute(slot, existing, len(groups_of(w)), rows_of(s))
            if self.a["banks"] == 2:
                phases.append((computation, loads(number + 1) if number + 1 < len(tiles) else 0, stored(number - 1)))
            else:
                phases += [(0, loads(number), stored(number - 1)), (computation, 0, 0)]
        phases.append((0, 0, stored(len(tiles) - 1)))
        for computation, load, store in phases:
            if computation or load or store:
                cycles = self.k["phase"] + max(computation, self.k["data"] + store + load + self.fetch)
                done.cycles += cycles
                done.phases += 1
                for of, value in ((done.layers, cycles), (done.compute, computation), (done.load, load), (done.store, store)):
                    count(of, value)
