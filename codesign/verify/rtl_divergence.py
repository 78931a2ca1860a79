"""Where an RTL simulation leaves the reference: the first layer whose output differs.

The exported program is cut after each layer in turn. Where maps go through external memory, the layer's output lies there.
Where they stay in the activation buffer, the layer's instructions are bent to write the output buffer instead, which is
then stored; the simulated array gets an output buffer that is large enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.accelerator.pe_array_layers import MapShape, map_shape
from codesign.accelerator.pe_array_program import INSTRUCTION_BYTES, Instruction, decode
from codesign.export.pe_array_image import PeArrayImage, encode_program, unpack_words
from codesign.export.pe_array_job import Run, preload_runs
from codesign.network.deployed import IntTensor
from codesign.network.layers import Layer, Op
from codesign.verify.result import Divergence
from codesign.verify.rtl_bench import data_design, run_job
from codesign.verify.verilator import build


def find_rtl_divergence(
    folder: Path, image: PeArrayImage, memory: bytes, samples: NDArray[np.uint8], reference: Mapping[str, IntTensor] | None, builds: Path
) -> Divergence:
    """Compare layer by layer on samples whose logits differ.

    Args:
        folder: an exported project.
        image: what was exported.
        memory: the project's memory image.
        samples: data set words (n, ...).
        reference: outputs of the quantised model by layer name (n, h, w, c); the deployed integers where not given.
        builds: folder of builds.

    Raises:
        EvaluationError: the simulation fails.
    """
    expected = image.network.trace(samples) if reference is None else reference
    probe = _Probe.of(folder, image, memory, samples, builds)
    graph = image.network.graph
    for layer in graph:
        if layer.op is not Op.INPUT and layer != graph.output and layer.name in expected:
            found = probe.output(layer)
            wanted = expected[layer.name].reshape(found.shape)
            if not np.array_equal(found, wanted):
                return _describe(image, layer, found, wanted, "")
    found = probe.logits()
    return _describe(image, graph.output, found, expected[graph.output.name].reshape(found.shape), "every layer before it equals the reference")


def _describe(image: PeArrayImage, layer: Layer, found: IntTensor, expected: IntTensor, note: str) -> Divergence:
    differences, target = np.abs(found - expected), image.network.format(layer.name)
    return Divergence(
        layer=layer.name,
        samples=len(found),
        elements=differences.size,
        elements_different=int((differences > 0).sum()),
        max_abs_difference=int(differences.max(initial=0)),
        types=(),
        accumulator_overflows=None,
        accumulator_truncations=None,
        output_saturations=int(((expected <= target.minimum) | (expected >= target.maximum)).sum()),
        changed_files=(),
        note=note,
    )


@dataclass(frozen=True)
class _Probe:
    """Runs an exported program up to some layer.

    Attributes:
        program: the simulator.
        image: what was exported.
        memory: the project's memory image.
        inputs: samples as the network takes them, one after the other.
        samples: how many.
    """

    program: Path
    image: PeArrayImage
    memory: bytes
    inputs: bytes
    samples: int

    @classmethod
    def of(cls, folder: Path, image: PeArrayImage, memory: bytes, samples: NDArray[np.uint8], builds: Path) -> _Probe:
        schedule = image.schedule
        array = schedule.array
        if schedule.resident.maps:
            largest = max(_shape(image, layer).words for layer in image.network.graph if layer.op is not Op.INPUT)
            array = replace(array, output_words=max(array.output_words, -(-largest // array.banks)))
        program = build(data_design(array, folder / "rtl", folder / "tb"), builds)
        return cls(program, image, memory, image.pack_input(samples), len(samples))

    def output(self, layer: Layer) -> IntTensor:
        """Output (n, positions, channels) of a layer but the last."""
        schedule, shape = self.image.schedule, _shape(self.image, layer)
        last = max(number for number, phase in enumerate(schedule.phases) if phase.layer == layer.name)
        instructions = [
            decode(int.from_bytes(self.memory[at : at + INSTRUCTION_BYTES], "little")) for at in range(0, (last + 1) * INSTRUCTION_BYTES, INSTRUCTION_BYTES)
        ]
        address = schedule.memory.size
        if schedule.plan is not None:
            place = schedule.plan.places[layer.name]
            for number, phase in enumerate(schedule.phases[: last + 1]):
                if phase.layer == layer.name and instructions[number].compute:
                    instructions[number] = replace(instructions[number], destination=0, out_base=instructions[number].out_base - place)
            beats = shape.words * schedule.array.activation_word_beats
            instructions.append(Instruction(store=1, store_address=address, store_beats=beats))
        else:
            address = schedule.memory.tensors[layer.name]
        words = self._run([*instructions, Instruction(halt=1)], address, shape.words)
        values = words.reshape(self.samples, shape.planes, shape.h * shape.w, -1).swapaxes(1, 2).reshape(self.samples, shape.h * shape.w, -1)
        values = values[:, :, : shape.channels]
        bits = schedule.array.activation_bits
        return values - ((values >> (bits - 1)) << bits) if self.image.network.format(layer.name).signed else values

    def logits(self) -> IntTensor:
        """Logits (n, classes) of the whole program."""
        image = self.image
        return image.unpack_logits(self._outputs(self.memory, image.output_address, image.output_bytes))

    def _run(self, instructions: list[Instruction], address: int, words: int) -> NDArray[np.int64]:
        array = self.image.schedule.array
        program = encode_program(instructions)
        count = words * array.activation_word_bytes
        outputs = self._outputs(program + self.memory[len(program) :], address, count)
        return unpack_words(outputs, array.activation_bits, array.columns, array.activation_word_bytes)

    def _outputs(self, memory: bytes, address: int, count: int) -> bytes:
        image = self.image
        run = Run(image.schedule.memory.program, image.input_address, image.input_bytes, address, count)
        runs = [*preload_runs(image), *[run] * self.samples]
        size = max(image.schedule.memory.size, address + count)
        result = run_job(self.program, memory, runs, self.inputs, memory_bytes=size, latency=image.schedule.array.latency)
        return b"".join(result.outputs)


def _shape(image: PeArrayImage, layer: Layer) -> MapShape:
    return map_shape(image.network.graph, layer, image.schedule.array.columns)
