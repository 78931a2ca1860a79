from __future__ import annotations

import numpy as np
import pytest

from codesign.accelerator.device import find_device
from codesign.errors import InputError
from codesign.kpi.evaluate import price
from codesign.kpi.joint_space import JointSpace
from codesign.network.table_builder import TaskShape
from codesign.space.parameters import Half

KWS = TaskShape(input_shape=(49, 10), classes=12, input_bits=8, input_signed=True)
PYNQ = find_device("pynq-z2")


def test_a_single_choice_needs_no_parameter() -> None:
    joint = JointSpace.build(KWS, ["mlp"], ["pe_array"], PYNQ)
    assert "blueprint" not in joint.space and "template" not in joint.space
    assert {parameter.name.split(".")[0] for parameter in joint.space.parameters} == {"mlp", "pe_array"}


def test_several_families_are_conditional_on_the_choice() -> None:
    joint = JointSpace.build(KWS, ["mlp", "tcresnet"], ["pe_array", "streaming"], PYNQ)
    assert joint.space.parameter("blueprint").half is Half.NETWORK
    assert joint.space.parameter("template").half is Half.ACCELERATOR
    for point in joint.space.points(joint.space.sample(50, np.random.default_rng(0))):
        families = {name.split(".")[0] for name, _ in point.assignment} - {"blueprint", "template"}
        assert families == {point["blueprint"], point["template"]}
        assert joint.blueprint_of(point).name == point["blueprint"]
        assert joint.template_of(point).name == point["template"]
        assert set(joint.template_values(point)) == set(joint_names(joint, str(point["template"])))
        assert joint.graph(point).output.out_c == 12
        assert joint.plan(point).reuse


def joint_names(joint: JointSpace, template: str) -> list[str]:
    return [name.split(".")[1] for name in joint.space.names if name.startswith(f"{template}.")]


def test_overrides_narrow_a_domain_and_may_leave_parameters_that_are_never_active() -> None:
    joint = JointSpace.build(KWS, ["tcresnet"], ["pe_array"], PYNQ, {"tcresnet.blocks": [1], "pe_array.rows": [16, 8]})
    assert joint.space.parameter("pe_array.rows").values == (8, 16)
    indices = joint.space.sample(20, np.random.default_rng(0))
    assert (indices[:, joint.space.column("tcresnet.block2_width")] == -1).all()
    assert len(price(joint, indices)) == 20


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"pe_array.row": [8]}, r"unknown parameter pe_array\.row\. Choose from .*pe_array\.rows"),
        ({"pe_array.rows": [5]}, r"pe_array\.rows = 5 is not in its domain\. Choose from \[2, 4"),
        ({"pe_array.double_buffering": [True]}, r"pe_array\.double_buffering = True is not in its domain"),
        ({"pe_array.rows": []}, r"pe_array\.rows is left without a value"),
    ],
)
def test_wrong_overrides_are_refused(overrides: dict[str, list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        JointSpace.build(KWS, ["mlp"], ["pe_array"], PYNQ, overrides)


def test_unknown_and_repeated_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown template 'systolic'\. Choose from pe_array, streaming"):
        JointSpace.build(KWS, ["mlp"], ["systolic"], PYNQ)
    with pytest.raises(InputError, match="unknown blueprint 'lstm'"):
        JointSpace.build(KWS, ["lstm"], ["pe_array"], PYNQ)
    with pytest.raises(InputError, match="blueprints must be a list of different names"):
        JointSpace.build(KWS, ["mlp", "mlp"], ["pe_array"], PYNQ)
    with pytest.raises(InputError, match="templates must be a list of different names"):
        JointSpace.build(KWS, ["mlp"], [], PYNQ)


@pytest.mark.parametrize("left", [("dscnn",), ("tcresnet", "dscnn"), ("dscnn", "mlp")])
def test_families_that_a_narrower_choice_leaves_are_priced_as_themselves(left: tuple[str, ...]) -> None:
    joint = JointSpace.build(KWS, ["mlp", "dscnn", "tcresnet"], ["pe_array"], PYNQ, {"blueprint": left})
    assert {blueprint.name for blueprint in joint.blueprints} == set(left)
    indices = joint.space.sample(20, np.random.default_rng(0))
    points = joint.space.points(indices)
    assert price(joint, indices).values["weights"].tolist() == [joint.graph(point).weights for point in points]
    assert {joint.blueprint_of(point).name for point in points} == set(left)


def test_templates_that_a_narrower_choice_leaves_are_priced_as_themselves() -> None:
    joint = JointSpace.build(KWS, ["mlp"], ["pe_array", "streaming", "systolic_row"], PYNQ, {"template": ["streaming"]})
    alone = JointSpace.build(KWS, ["mlp"], ["streaming"], PYNQ)
    assert joint.space.parameters == alone.space.parameters
    assert [template.name for template in joint.templates] == ["streaming"]


@pytest.mark.parametrize(("values", "message"), [(["cnn"], "blueprint = 'cnn' is not in its domain"), ([], "blueprint is left without a value")])
def test_a_family_that_is_not_among_them_is_refused(values: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        JointSpace.build(KWS, ["mlp", "dscnn"], ["pe_array"], PYNQ, {"blueprint": values})
