from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import InputError
from codesign.validation import published_points
from codesign.validation.published_points import PublishedLayer, contradictions, designs_of, has_skip, read_points
from tests.validation.published import WAKE_WORD, entry, layer, write


def test_a_point_is_read(tmp_path: Path) -> None:
    found = read_points(write(tmp_path / "points.json", [entry()]))
    (point,) = found.points
    assert (point.name, point.array, point.weight_bits, point.feature_bits) == ("wake word", 2, 6, 4)
    assert point.layers == (PublishedLayer(40, 4, 1, 16, 101, 0, 7), PublishedLayer(4, 3, 1, 1, 1, 0, 1))
    assert point.measured == {"cycles": 286.0, "cycles_counted": 286.0, "area_um2": 32_600.0, "power_w": 1.09e-6}
    assert found.unread == ()


def test_a_point_needs_no_published_figure_and_may_have_keys_of_its_own(tmp_path: Path) -> None:
    bare = {key: value for key, value in entry(split="exam", P=None).items() if key not in {"pub", "exact", "area", "task", "macs"}}
    found = read_points(write(tmp_path / "points.json", [bare]))
    assert found.points[0].measured == {} and found.unread == ("split",)


WRONG_FILES = {
    "no such file": None,
    "not a JSON file": b"{",
    "not a JSON file: 'utf-8'": b"\xff\xfe[",
    "nested too deeply": b"[" * 100_000,
    "not a list with at least one entry": b"{}",
    "list with at least one entry.*JSON list": b"[]",
    "NaN is not a number of JSON": b'[{"f": NaN}]',
    "Infinity is not a number": b'[{"f": -Infinity}]',
    "the key 'N' occurs twice": b'[{"f": "a", "N": 1, "N": 2}]',
    "Exceeds the limit": b"[" + b"9" * 5000 + b"]",
    r"entry 0: is not an object": b"[3]",
}


@pytest.mark.parametrize("match", WRONG_FILES)
def test_a_wrong_file_is_told(tmp_path: Path, match: str) -> None:
    path, content = tmp_path / "points.json", WRONG_FILES[match]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=match) as raised:
        read_points(path)
    assert str(path) in str(raised.value)


def test_files_beyond_the_limits_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "points.json", [entry(), entry()])
    monkeypatch.setattr(published_points, "MOST_POINTS", 1)
    with pytest.raises(InputError, match="has 2 entries. Give at most 1"):
        read_points(path)
    monkeypatch.setattr(published_points, "LARGEST", 10)
    with pytest.raises(InputError, match="larger than"):
        read_points(path)


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"f": None}, "entry 1: f", "1 to 200 printable characters"),
        ({"f": ""}, "entry 1: f", "printable"),
        ({"f": "a\nb"}, "entry 1: f", "printable"),
        ({"f": "\ud800"}, "entry 1: f", "printable"),
        ({"f": "x" * 201}, "entry 1: f", "printable"),
        ({"N": None}, "entry 1 (wake word): N", "missing key"),
        ({"N": 0}, "entry 1 (wake word): N", "whole number from 1 to 1,024 (got 0)"),
        ({"N": 2.0}, "entry 1 (wake word): N", "(got 2.0)"),
        ({"N": True}, "entry 1 (wake word): N", "(got true)"),
        ({"bw": 33}, "entry 1 (wake word): bw", "from 1 to 32"),
        ({"bf": "4"}, "entry 1 (wake word): bf", '(got "4")'),
        ({"L": []}, "entry 1 (wake word): L", "a list of 1 to 512 layers"),
        ({"L": WAKE_WORD * 257}, "entry 1 (wake word): L", "a list of 1 to 512 layers"),
        ({"L": {"C": 1}}, "entry 1 (wake word): L", "a list of"),
        ({"L": [3]}, "entry 1 (wake word): L[0]", "is not an object"),
        ({"L": [layer(), layer(C=None)]}, "entry 1 (wake word): L[1]: C", "missing key"),
        ({"L": [layer(K=-1)]}, "entry 1 (wake word): L[0]: K", "from 1 to 65,536 (got -1)"),
        ({"L": [layer(F=0)]}, "L[0]: F", "from 1"),
        ({"L": [layer(s=0)]}, "L[0]: s", "from 1"),
        ({"L": [layer(W=10**30)]}, "L[0]: W", "whole number"),
        ({"L": [layer(p=-1)]}, "L[0]: p", "from 0"),
        ({"L": [layer(p=3)]}, "L[0]: p", "the first window would lie on no input"),
        ({"L": [layer(Wo=12)]}, "L[0]: Wo", "the last window would lie on no input"),
        ({"L": [layer(C=65_536, K=65_536, F=4_096, p=0)]}, "L[0]", "more than 1e+12 products"),
        ({"pub": "286"}, "entry 1 (wake word): pub", '(got "286")'),
        ({"pub": True}, "entry 1 (wake word): pub", "must be a number"),
        ({"exact": 0}, "entry 1 (wake word): exact", "above 0"),
        ({"area": -1.0}, "entry 1 (wake word): area", "above 0"),
        ({"area": 10**400}, "entry 1 (wake word): area", "number of at most"),
        ({"P": 0}, "entry 1 (wake word): P", "above 0"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(InputError, match=re.escape(what)) as raised:
        read_points(write(tmp_path / "points.json", [entry(), entry(**changes)]))
    assert where in str(raised.value)


def test_numbers_that_overflow_are_told(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_text('[{"f": "a", "N": 2, "bw": 6, "bf": 4, "L": [{"C": 1, "K": 1, "F": 1, "s": 1, "W": 1, "p": 0, "Wo": 1}], "P": 1e999}]', encoding="utf-8")
    with pytest.raises(InputError, match="P: must be a number"):
        read_points(path)


def test_the_last_output_may_reach_past_the_input(tmp_path: Path) -> None:
    """A window that begins on the last input is real; one step more is not (tested above)."""
    (point,) = read_points(write(tmp_path / "points.json", [entry(L=[layer(Wo=11)])])).points
    assert point.layers[0].out_w == 11


def test_the_largest_layer_is_counted(tmp_path: Path) -> None:
    (point,) = read_points(write(tmp_path / "points.json", [entry(L=[layer(C=1, K=1, F=4096, p=4095, W=1 << 18, Wo=1 << 18)])])).points
    first = np.arange(1 << 18) - 4095
    expected = (np.minimum(first + 4096, 1 << 18) - np.maximum(first, 0)).sum()
    assert designs_of([point]).macs.tolist() == [float(expected)]


def test_points_of_different_depth_share_a_table(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "points.json", [entry(), entry(N=4, bw=8, bf=2, L=[layer()])])).points
    designs = designs_of(points)
    assert designs.in_c.tolist() == [[40, 4], [8, 0]] and designs.out_w.tolist() == [[7, 1], [10, 0]]
    assert designs.array.tolist() == [[2], [4]] and designs.weight_bits.tolist() == [[6], [8]] and designs.feature_bits.tolist() == [[4], [2]]
    assert designs.skips.tolist() == [False, True]
    assert designs.macs.tolist() == [1132.0, (30 - 2) * 64.0]


A = PublishedLayer(8, 16, 3, 1, 10, 1, 10)


@pytest.mark.parametrize(
    ("layers", "skips"),
    [
        ([A], False),
        ([A, PublishedLayer(16, 4, 1, 2, 10, 0, 5)], False),
        ([A, PublishedLayer(16, 4, 1, 1, 1, 0, 1)], False),  # pooled to one position
        ([A, PublishedLayer(8, 16, 1, 1, 10, 0, 10)], True),  # reads what the first layer reads
        ([A, PublishedLayer(16, 4, 1, 1, 20, 0, 20)], True),  # of another length
        ([PublishedLayer(8, 8, 3, 1, 10, 1, 10)], True),  # can be skipped without a convolution
        ([PublishedLayer(8, 8, 3, 2, 10, 1, 5)], False),
        ([PublishedLayer(8, 8, 1, 1, 1, 0, 1)], False),
    ],
)
def test_skips_are_inferred(layers: list[PublishedLayer], skips: bool) -> None:
    assert has_skip(layers) is skips


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        (286.0, ""),
        (283.0, ""),  # 4 multipliers, 1,132 products: just possible
        (282.0, "282 cycles of 4 multipliers make 1,128 products; the network has 1,132 on real input"),
        (-94.0, "-94 cycles are none at all; the network has 1,132 products on real input"),
        (0.0, "0 cycles are none at all; the network has 1,132 products on real input"),
        (None, ""),
    ],
)
def test_impossible_cycles_are_told_by_the_networks_products(tmp_path: Path, published: float | None, reason: str) -> None:
    points = read_points(write(tmp_path / "points.json", [entry(pub=published)])).points
    assert contradictions(points) == [reason]
