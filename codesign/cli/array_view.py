"""What `codesign show` adds for a design on a `pe_array`: its schedule, its memories, and what it would be as an ASIC."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from codesign.cli.output import number, say, table
from codesign.errors import CodesignError

if TYPE_CHECKING:
    from codesign.accelerator.schedule import Schedule
    from codesign.kpi.asic import AsicArea, AsicEnergy, Technology
    from codesign.kpi.pe_array_asic import PeArrayAsic
    from codesign.search.study import Evaluated, Study
    from codesign.space.design_space import DesignPoint

TEMPLATE = "pe_array"
Document = dict[str, Any]
TILE_HEADS = ("layer", "outer loop", "tile groups", "tile rows", "tiles", "phases")
CYCLE_HEADS = ("layer", "cycles", "compute", "load", "store", "stall", "MACs used", "bytes")
BUFFER_HEADS = ("buffer", "word bits", "words", "KiB", "peak words", "peak KiB", "reads", "writes")
SCHEDULED = ("name", "op", "order", "group_tile", "groups", "row_tile", "rows", "tiles", "runs", "phases")
"""What a row of the layers takes of the compiler's record."""
COUNTED = ("cycles", "compute_cycles", "load_cycles", "store_cycles", "stall_cycles", "external_bytes")
"""What it takes of the cost model's breakdown."""


def print_array(study: Study, item: Evaluated) -> Document | None:
    """Print the schedule of a design on a `pe_array`; gives it as JSON types, None on other templates.

    Where the network cannot run on the array, the reason is printed, and is all that is given.
    """
    if study.pricing.joint.template_of(item.design.point).name != TEMPLATE:
        return None
    try:
        document = array_document(study, item.design.point)
    except CodesignError as error:
        say(f"no schedule: {error}")
        return {"error": str(error)}
    table(TILE_HEADS, tile_rows(document), title="schedule", left=2)
    table(CYCLE_HEADS, cycle_rows(document), title="cycles and bytes over the port, of one inference")
    say("compute runs beside load and store; stall is what a layer waits for them and for its next instruction")
    for line in summary_lines(document):
        say(line)
    table(BUFFER_HEADS, buffer_rows(document), title="buffers, all banks together; reads and writes of the array in one inference")
    for line in asic_lines(document):
        say(line)
    return document


def tile_rows(document: Document) -> list[list[str]]:
    """Cells of the table of tiles, under `TILE_HEADS`."""
    return [
        [
            row["name"],
            row["order"],
            f"{row['group_tile']} of {row['groups']}",
            f"{row['row_tile']} of {row['rows']}",
            number(row["tiles"]) + (f" x {row['runs']} runs" if row["runs"] > 1 else ""),
            number(row["phases"]),
        ]
        for row in document["layers"]
    ]


def cycle_rows(document: Document) -> list[list[str]]:
    """Cells of the table of cycles, under `CYCLE_HEADS`."""
    return [
        [row["name"], *(number(row[name]) for name in COUNTED[:-1]), f"{row['utilisation']:.1%}", number(row["external_bytes"])] for row in document["layers"]
    ]


def summary_lines(document: Document) -> list[str]:
    """The whole inference, and what stays on the chip, in words."""
    cycles, moved = (document[name] - sum(row[name] for row in document["layers"]) for name in ("cycles", "external_bytes"))
    kept = [
        f"{what} {'stay in their buffer' if document[name] else 'are streamed from external memory'}"
        for name, what in (("weights_resident", "weights"), ("maps_resident", "feature maps"))
    ]
    return [
        f"to begin{' and to load the input' if document['maps_resident'] else ''}: {number(cycles)} cycles, {number(moved)} bytes",
        f"in all: {number(document['cycles'])} cycles, {number(document['external_bytes'])} bytes over the port; {', '.join(kept)}",
    ]


def buffer_rows(document: Document) -> list[list[str]]:
    """Cells of the table of buffers, under `BUFFER_HEADS`."""
    names = ("word_bits", "words", "kib", "peak_words", "peak_kib", "reads", "writes")
    return [[name, *(number(own[column]) for column in names)] for name, own in document["buffers"].items()]


def asic_lines(document: Document) -> list[str]:
    """Area and energy as an ASIC in words, with the technology and what is left out."""
    asic = document["asic"]
    area, energy = ({name: value * 1e-6 for name, value in asic[part].items()} for part in ("area_um2", "energy_pj"))
    whole = {"area": area.pop("total"), "energy": energy.pop("total")}
    on_chip = f"{number(whole['energy'] - energy['external'])} of it on the chip (+- {asic['energy_error']:.0%})"
    return [
        f"as an ASIC ({asic['technology']['text']}; no placement and routing, no leakage):",
        f"  area {number(whole['area'])} mm2 (+- {asic['area_error']:.0%}): {_list(area)}",
        f"  energy {number(whole['energy'])} uJ an inference, {on_chip}: {_list(energy)}",
    ]


def array_document(study: Study, point: DesignPoint) -> Document:
    """Schedule, memories and ASIC estimate of a design on a `pe_array`, as JSON types.

    Cycles, accesses and bytes are those of one inference. Those of the layers leave out the program's start and the load
    of the input, which ``cycles``, ``external_bytes`` and the buffers' ``writes`` hold.

    Raises:
        InfeasibleError: the network cannot run on the array.
    """
    from codesign.accelerator.pe_array_work import spread
    from codesign.accelerator.schedule import schedule
    from codesign.export.pe_array_project import array_of
    from codesign.kpi.pe_array import array_shape, beat_cycles
    from codesign.kpi.pe_array_asic import asic_of
    from codesign.kpi.pe_array_costs import breakdown_of, costs
    from codesign.network.layers import LayerTable
    from codesign.space.columns import Columns

    joint = study.pricing.joint
    graph, columns = joint.graph(point), Columns(joint.space, joint.space.indices([point]), TEMPLATE)
    made = schedule(graph, array_of(joint.template_values(point)))
    layers, array = LayerTable.from_graphs([graph]), array_shape(columns)
    found = costs(layers, array, beat_cycles(array, columns["clock_mhz"].astype(float), joint.device))
    counted, asic = breakdown_of(layers, array, found), asic_of(layers, array, found)
    utilisation = found.plan.demand.macs / (found.layer_cycles * made.array.rows * made.array.columns)
    values = {name: getattr(counted, name) for name in COUNTED}
    values["utilisation"] = spread(utilisation, found.plan.layers.place, layers.op.shape)
    return {
        "weights_resident": made.resident.weights,
        "maps_resident": made.resident.maps,
        "cycles": float(found.cycles[0]),
        "external_bytes": float(asic.external_bits[0]) / 8.0,
        "layers": _layers(made, {name: own[0].tolist() for name, own in values.items()}),
        "buffers": _buffers(made, asic),
        "asic": _asic(asic),
    }


def _layers(made: Schedule, values: dict[str, list[float]]) -> list[Document]:
    """A row a layer in the order of the program; ``values`` have a number for each layer of the graph."""
    slots = {layer.name: slot for slot, layer in enumerate(made.graph)}
    record: Document = made.record()
    return [{name: row[name] for name in SCHEDULED} | {name: own[slots[row["name"]]] for name, own in values.items()} for row in record["layers"]]


def _buffers(made: Schedule, asic: PeArrayAsic) -> Document:
    """What each buffer has (all banks together), holds at the worst moment, and gives and takes in an inference."""
    from codesign.accelerator.array_parameters import KIB_BITS
    from codesign.kpi.pe_array_asic import BUFFERS

    banks = {"weight": made.array.weight_words, "activation": made.array.activation_words, "output": made.array.output_words}
    peaks = made.buffer_peaks
    word_bits = {"weight": made.array.weight_word_bits, "activation": made.array.activation_word_bits, "output": made.array.activation_word_bits}
    return {
        name: {
            "word_bits": word_bits[name],
            "words": (words := banks[name] * made.array.banks),
            "kib": words * word_bits[name] / KIB_BITS,
            "peak_words": peaks[name],
            "peak_kib": peaks[name] * word_bits[name] / KIB_BITS,
            "reads": float(asic.accesses.reads[0, place]),
            "writes": float(asic.accesses.writes[0, place]),
        }
        for place, name in enumerate(BUFFERS)
    }


def _asic(asic: PeArrayAsic) -> Document:
    return {
        "technology": {**asdict(asic.technology), "text": _text(asic.technology)},
        "area_um2": _parts(asic.area, "_um2") | {"total": float(asic.area.total_um2[0])},
        "area_error": float(asic.area_error[0]),
        "energy_pj": _parts(asic.energy, "_pj") | {"total": float(asic.energy.total_pj[0])},
        "energy_error": float(asic.energy_error[0]),
    }


def _parts(figure: AsicArea | AsicEnergy, unit: str) -> dict[str, float]:
    return {field.name.removesuffix(unit): float(getattr(figure, field.name)[0]) for field in fields(figure)}


def _text(technology: Technology) -> str:
    return f"{technology.node_nm} nm at {technology.supply_v} V, {technology.cell.upper()} memories, {technology.external.upper()}"


def _list(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in parts.items())
