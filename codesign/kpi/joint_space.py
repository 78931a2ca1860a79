"""The joint space of networks and accelerators for one task and one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codesign.accelerator.device import Device
from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import InputError
from codesign.kpi.template_model import TemplateModel, find_template
from codesign.network.blueprints.blueprint import Blueprint, find_blueprint
from codesign.network.layers import LayerGraph
from codesign.network.table_builder import TaskShape
from codesign.space.design_space import DesignPoint, DesignSpace
from codesign.space.parameters import Condition, Half, Parameter, Value, categorical

BLUEPRINT = "blueprint"
TEMPLATE = "template"


@dataclass(frozen=True)
class JointSpace:
    """Network parameters and accelerator parameters in one design space.

    Attributes:
        space: all parameters. ``blueprint`` and ``template`` are among them only where there is a choice; then each
            blueprint's and template's own parameters are active only when it is chosen.
        shape: input and output of the task.
        blueprints, templates: what the space draws from.
        device: what the designs are for.
    """

    space: DesignSpace
    shape: TaskShape
    blueprints: tuple[Blueprint, ...]
    templates: tuple[TemplateModel, ...]
    device: Device

    @classmethod
    def build(
        cls,
        shape: TaskShape,
        blueprints: Sequence[str],
        templates: Sequence[str],
        device: Device,
        overrides: Mapping[str, Sequence[Value]] | None = None,
    ) -> JointSpace:
        """Join the parameters of blueprints and templates.

        Args:
            shape: the task's input and output.
            blueprints: names, at least one.
            templates: names, at least one.
            device: decides which accelerator values are offered.
            overrides: for parameters by full name, the values to keep of their domain. A parameter with a default is part of
                the space only if it is named here.

        Raises:
            InputError: unknown blueprint, template or parameter, or a value outside a parameter's domain.
        """
        narrower = dict(overrides or {})
        chosen = tuple(find_blueprint(name) for name in _kept(_distinct(blueprints, "blueprints"), BLUEPRINT, narrower))
        models = tuple(find_template(name) for name in _kept(_distinct(templates, "templates"), TEMPLATE, narrower))
        parameters = [
            *_choice(BLUEPRINT, Half.NETWORK, {blueprint.name: blueprint.parameters for blueprint in chosen}),
            *_choice(TEMPLATE, Half.ACCELERATOR, {model.name: model.parameters(device, shape) for model in models}),
        ]
        narrowed = _narrow(parameters, narrower)
        return cls(space=DesignSpace(narrowed, narrowed=True), shape=shape, blueprints=chosen, templates=models, device=device)

    def blueprint_of(self, point: DesignPoint) -> Blueprint:
        """The blueprint of a design."""
        return self.blueprints[0] if len(self.blueprints) == 1 else find_blueprint(str(point[BLUEPRINT]))

    def template_of(self, point: DesignPoint) -> TemplateModel:
        """The template of a design."""
        return self.templates[0] if len(self.templates) == 1 else find_template(str(point[TEMPLATE]))

    def template_values(self, point: DesignPoint) -> dict[str, Value]:
        """Accelerator values of a design by short name."""
        prefix = f"{self.template_of(point).name}."
        return {name.removeprefix(prefix): value for name, value in point.assignment if name.startswith(prefix)}

    def graph(self, point: DesignPoint) -> LayerGraph:
        """The network of a design."""
        return self.blueprint_of(point).table(self.space, self.space.indices([point]), self.shape).graph(0)

    def plan(self, point: DesignPoint) -> HlsPlan:
        """How the design is exported to hls4ml."""
        return self.template_of(point).hls_plan(self.graph(point), self.template_values(point), self.device)


def _distinct(names: Sequence[str], what: str) -> tuple[str, ...]:
    if not names or len(set(names)) != len(names):
        raise InputError(f"{what} must be a list of different names, got {list(names)}", where="design space", remedy="Name each once, and at least one")
    return tuple(names)


def _kept(names: tuple[str, ...], parameter: str, overrides: dict[str, Sequence[Value]]) -> tuple[str, ...]:
    """The families that overrides of their parameter leave; takes those out, since what has no choice is no parameter."""
    if parameter not in overrides or len(names) == 1:
        return names
    kept = overrides.pop(parameter)
    _check_values(parameter, kept, names)
    return tuple(name for name in names if name in kept)


def _check_values(name: str, values: Sequence[Value], domain: Sequence[Value]) -> None:
    wrong = [value for value in values if value not in domain or isinstance(value, bool)]
    if wrong or not values:
        what = f"{name} = {wrong[0]!r} is not in its domain" if wrong else f"{name} is left without a value"
        raise InputError(what, where="design space", remedy=f"Choose from {list(domain)}")


def _choice(name: str, half: Half, families: Mapping[str, Sequence[Parameter]]) -> list[Parameter]:
    """The parameters of all families, with a parameter that chooses among them where there are several."""
    if len(families) == 1:
        return list(next(iter(families.values())))
    collected = [categorical(name, tuple(families), half)]
    for family, parameters in families.items():
        chosen = Condition(name, (family,))
        collected += [replace(parameter, conditions=(chosen, *parameter.conditions)) for parameter in parameters]
    return collected


def _narrow(parameters: Sequence[Parameter], overrides: Mapping[str, Sequence[Value]]) -> list[Parameter]:
    known = {parameter.name: parameter for parameter in parameters}
    for name, values in overrides.items():
        if name not in known:
            raise InputError(f"unknown parameter {name}", where="design space", remedy=f"Choose from {', '.join(known)}")
        _check_values(name, values, known[name].values)
    return [
        replace(parameter, values=tuple(value for value in parameter.values if value in overrides[parameter.name]))
        if parameter.name in overrides
        else parameter
        for parameter in parameters
        if parameter.default is None or parameter.name in overrides
    ]
