"""Weights that all networks of a family share: a score of any of them for a fraction of its own training.

Each weighted layer slot of the family has one tensor, as large as the largest network needs; a network takes the first
channels and the middle of the kernel [Yu2020]_. A score takes a network's part, measures the statistics of its own
normalisation [Yu2019]_, folds them, quantises to the widths of the design, and fine-tunes over a few epochs as every full
training ends: without these, two to four bits destroy what was inherited, and with it the order of networks. What is
reported is the mean probability of the right class, which orders networks that get the same few hundred samples right.

.. [Yu2019] J. Yu, T. Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019.
.. [Yu2020] J. Yu et al., "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models", ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from codesign.errors import EvaluationError
from codesign.network.float_network import NORMALISATION_EPSILON, FoldedLayer
from codesign.network.graph_module import GraphModule, flatten_channels_last
from codesign.network.layers import WEIGHTED, Layer, LayerGraph, LayerTable, Op
from codesign.network.tasks.task import Task, TrainingDefaults
from codesign.network.training import (
    CALIBRATION_SAMPLES,
    TrainedNetwork,
    fine_tune,
    reproducible,
    score,
    split_tensors,
    training_device,
)

Shape = tuple[int, int, int, int]


def shared_shapes(networks: LayerTable) -> dict[str, Shape]:
    """Shapes that hold the weights of each of n networks, by slot and operation.

    Convolutions: (out_c, in_c / groups, kernel_h, kernel_w). Dense layers: (out_c, h, w, c) of the tensor that they flatten.
    """
    shapes: dict[str, Shape] = {}
    for slot, name in enumerate(networks.names):
        for op in WEIGHTED:
            rows = np.flatnonzero(networks.op[:, slot] == op)
            if not len(rows):
                continue
            source = networks.input_a[rows, slot]
            if op is Op.DENSE:
                columns = [networks.out_c[rows, slot], *(part[rows, source] for part in (networks.out_h, networks.out_w, networks.out_c))]
            else:
                depth = networks.in_c[rows, slot] // networks.groups[rows, slot]
                columns = [networks.out_c[rows, slot], depth, networks.kernel_h[rows, slot], networks.kernel_w[rows, slot]]
            first, second, third, fourth = (int(column.max()) for column in columns)
            shapes[_key(name, op)] = (first, second, third, fourth)
    return shapes


def _key(name: str, op: Op) -> str:
    """Of the tensor of a slot: one that may be a convolution or a dense layer has two."""
    return f"{name}__{op.name.lower()}"


class SharedWeights(nn.Module):
    """One tensor a slot, and the gain and shift of the normalisation that follows it (of the last layer: its bias).

    Args:
        shapes: see `shared_shapes`.
        generator: gives the initial weights; None leaves them at zero, to be loaded.
    """

    def __init__(self, shapes: Mapping[str, Shape], generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.ParameterDict({key: nn.Parameter(torch.zeros(shape)) for key, shape in shapes.items()})
        self.gain = nn.ParameterDict({key: nn.Parameter(torch.ones(shape[0])) for key, shape in shapes.items()})
        self.shift = nn.ParameterDict({key: nn.Parameter(torch.zeros(shape[0])) for key, shape in shapes.items()})
        if generator is not None:
            for parameter in self.weight.values():
                nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)

    @property
    def shapes(self) -> dict[str, Shape]:
        """What it was made from."""
        found: dict[str, Shape] = {key: tuple(parameter.shape) for key, parameter in self.weight.items()}
        return found


class SubNetwork(GraphModule):
    """One network on shared weights, in floating point.

    Training and `fold` normalise by the batch; afterwards the statistics that `fold` measured hold.

    Args:
        graph: the network.
        shared: its weights are read, not copied.

    Raises:
        EvaluationError: the network is larger than the supernet, or of another family.
    """

    def __init__(self, graph: LayerGraph, shared: SharedWeights) -> None:
        super().__init__(graph)
        # In a tuple it is no submodule: a sub-network is made for one batch, and its parameters belong to the supernet.
        self._held = (shared,)
        self._statistics: dict[str, tuple[Tensor, Tensor]] = {}
        for layer in self.weighted_layers():
            self._check(layer)

    @property
    def _shared(self) -> SharedWeights:
        return self._held[0]

    def _check(self, layer: Layer) -> None:
        held = self._shared.shapes.get(_key(layer.name, layer.op))
        needed = self._shape(layer)
        if held is None or any(size > room for size, room in zip(needed, held, strict=True)):
            what = "no such layer" if held is None else f"at most {held}"
            raise EvaluationError(f"needs weights {needed}, the supernet has {what}", where=f"layer {layer.name}", remedy="Train a supernet of this space")

    def _shape(self, layer: Layer) -> Shape:
        if layer.op is Op.DENSE:
            (source,) = self.graph.predecessors(layer)
            return layer.out_c, source.out_h, source.out_w, source.out_c
        return layer.out_c, layer.in_c // layer.groups, layer.kernel_h, layer.kernel_w

    def weight(self, layer: Layer) -> Tensor:
        """The layer's part of the shared tensor: (out_c, in_c / groups, kernel_h, kernel_w), dense (out_c, in_c)."""
        shared: Tensor = self._shared.weight[_key(layer.name, layer.op)]
        first, second, third, fourth = self._shape(layer)
        if layer.op is Op.DENSE:
            return shared[:first, :second, :third, :fourth].flatten(1)
        top, left = (shared.shape[2] - third) // 2, (shared.shape[3] - fourth) // 2
        return shared[:first, :second, top : top + third, left : left + fourth]

    def _affine(self, layer: Layer) -> tuple[Tensor, Tensor]:
        key = _key(layer.name, layer.op)
        return self._shared.gain[key][: layer.out_c], self._shared.shift[key][: layer.out_c]

    def weigh(self, layer: Layer, source: Tensor) -> Tensor:
        """Weighted sum, normalised by the batch or by what `fold` measured."""
        gain, shift = self._affine(layer)
        if layer.op is Op.DENSE:
            result = functional.linear(flatten_channels_last(source), self.weight(layer))[:, :, None, None]
        else:
            stride, padding = (layer.stride_h, layer.stride_w), (layer.pad_h, layer.pad_w)
            result = functional.conv2d(source, self.weight(layer), stride=stride, padding=padding, groups=layer.groups)
        if layer is self.last:
            return result + shift.view(1, -1, 1, 1)
        if self.training:
            return functional.batch_norm(result, None, None, gain, shift, training=True, eps=NORMALISATION_EPSILON)
        if layer.name not in self._statistics:
            variance, mean = torch.var_mean(result, dim=(0, 2, 3), correction=0)
            self._statistics[layer.name] = mean, variance
        return functional.batch_norm(result, *self._statistics[layer.name], gain, shift, eps=NORMALISATION_EPSILON)

    def finish(self, layer: Layer, accumulator: Tensor) -> Tensor:
        """ReLU where the layer has one."""
        return accumulator.relu() if layer.relu else accumulator

    def fold(self, samples: Tensor) -> dict[str, FoldedLayer]:
        """Measure the normalisation on samples (n x *input_shape*, real units), and multiply it in; leaves evaluation mode."""
        self.eval()
        self._statistics.clear()
        with torch.no_grad():
            self(samples)
            folded = {}
            for layer in self.weighted_layers():
                gain, shift = self._affine(layer)
                weight = self.weight(layer)
                folded[layer.name] = (
                    FoldedLayer(weight.clone(), shift.clone()) if layer is self.last else FoldedLayer.of(weight, gain, shift, *self._statistics[layer.name])
                )
        return folded


def score_network(graph: LayerGraph, shared: SharedWeights, task: Task, settings: TrainingDefaults, seed: int, *, device: str = "cpu") -> TrainedNetwork:
    """Quantise and fine-tune one network from shared weights.

    Args:
        graph: the network.
        shared: from `codesign.network.supernet_training`; their values are left as they are.
        task: see `codesign.network.training.train`.
        settings: of which the quantised epochs are used.
        seed: of batches and augmentation.
        device: see `codesign.network.training.train`.

    Raises:
        EvaluationError: the network does not fit the supernet, or its loss became infinite or not a number.
        InputError: CUDA asked for and not there.
    """
    chosen = training_device(device)
    with reproducible(chosen):
        network = SubNetwork(graph, shared.to(chosen))
        folded = network.fold(split_tensors(task.record, task.train, chosen)[0][:CALIBRATION_SAMPLES])
        float_accuracy = score(network, *split_tensors(task.record, task.validation, chosen)).accuracy
    return fine_tune(graph, folded, task, settings, seed, float_accuracy=float_accuracy, device=device)
