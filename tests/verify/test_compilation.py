"""Building and running: caching, failures, crashes, with a compiler that makes programs in Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codesign.accelerator.hls_plan import HlsPlan
from codesign.errors import EvaluationError, InputError, ToolMissingError, VerificationError
from codesign.export.hls4ml_project import export_project
from codesign.export.manifest import Manifest, load_manifest
from codesign.network.deployed import DeployedNetwork
from codesign.verify.compilation import compile_project, simulate

WORDS = np.zeros((3, 64), dtype=np.int64)
# Compiles (-c) by touching the object and counting; links by writing a program that does what BEHAVIOUR says.
COMPILER = """#!{python}
import os, sys
from pathlib import Path
here = Path(__file__).parent
if "--version" in sys.argv:
    print("mock 1.0")
    sys.exit(0)
target = Path(sys.argv[sys.argv.index("-o") + 1])
if (here / "broken").exists():
    print("codesign_net.cpp:7: error: it does not compile")
    sys.exit(1)
if "-c" in sys.argv:
    with open(here / "count", "a") as stream:
        stream.write("x")
    target.write_text("")
else:
    target.write_text("#!{python}\\n" + (here / "behaviour").read_text())
    target.chmod(0o755)
"""
ZEROS = "import struct, sys\nwith open(sys.argv[2], 'wb') as out: out.write(struct.pack('<30d', *[{value}] * 30))\n"


class Compiler:
    """The mock: how often it compiled, and what its programs do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behave(ZEROS.format(value="0.0"))

    def behave(self, code: str) -> None:
        (self.folder / "behaviour").write_text(code)

    @property
    def compilations(self) -> int:
        count = self.folder / "count"
        return len(count.read_text()) if count.exists() else 0


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    folder = tmp_path / "tools"
    folder.mkdir()
    script = folder / "g++"
    script.write_text(COMPILER.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("CODESIGN_GXX", str(script))
    monkeypatch.setenv("CODESIGN_CCACHE", str(folder / "absent"))
    return Compiler(folder)


@pytest.fixture
def project(residual_network: DeployedNetwork, plan_of: Callable[..., HlsPlan], tmp_path: Path) -> tuple[Path, Manifest]:
    samples = np.zeros((1, 8, 8), dtype=np.uint8)
    folder = export_project(residual_network, plan_of(residual_network), tmp_path / "design", part="xc7z020", samples=samples, provenance={})
    return folder, load_manifest(folder)


def test_an_unchanged_project_is_built_once(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    assert np.array_equal(simulate(*project, WORDS), np.zeros((3, 10)))
    simulate(*project, WORDS)
    assert compiler.compilations == 1


@pytest.mark.parametrize("name", ["firmware/defines.h", "firmware/weights/w3.txt"])
def test_a_changed_source_is_built_again(project: tuple[Path, Manifest], compiler: Compiler, name: str) -> None:
    simulate(*project, WORDS)
    with (project[0] / name).open("a") as stream:
        stream.write("\n")
    simulate(*project, WORDS)
    assert compiler.compilations == 2


def test_the_tracing_build_does_not_replace_the_other(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    first = compile_project(*project)
    assert compile_project(*project, trace=True) != first
    assert compile_project(*project) == first
    assert compiler.compilations == 2


def test_a_damaged_record_means_building_again(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    compile_project(*project)
    (project[0] / "csim" / "runner.json").write_text("[")
    compile_project(*project)
    assert compiler.compilations == 2


def test_a_missing_compiler_ends_with_the_remedy(project: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_GXX", "/nowhere/g++")
    with pytest.raises(ToolMissingError, match=r"codesign verify: CODESIGN_GXX=/nowhere/g\+\+ is not a program. Install it") as caught:
        compile_project(*project)
    assert caught.value.exit_code == 3


def test_a_compile_error_is_told_and_its_log_kept(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    (compiler.folder / "broken").write_text("")
    with pytest.raises(EvaluationError, match=r"C simulation of design design: .*ended with status 1: .*it does not compile.* See .*runner_build.log"):
        compile_project(*project)
    assert "it does not compile" in (project[0] / "csim" / "runner_build.log").read_text()
    (compiler.folder / "broken").unlink()
    compile_project(*project)
    assert compiler.compilations == 1


def test_a_crash_of_generated_code_is_an_error_not_the_end(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    compiler.behave("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with pytest.raises(EvaluationError, match="ended with status -11"):
        simulate(*project, WORDS)


def test_missing_outputs_are_noticed(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    with pytest.raises(EvaluationError, match="gave 30 numbers instead of 20"):
        simulate(*project, WORDS[:2])


def test_bits_below_the_last_place_are_noticed(project: tuple[Path, Manifest], compiler: Compiler, residual_network: DeployedNetwork) -> None:
    half = 2.0 ** -(residual_network.format("head").fraction + 1)
    compiler.behave(ZEROS.format(value=repr(half)))
    with pytest.raises(VerificationError, match=r"logits are not multiples of 2\*\*-"):
        simulate(*project, WORDS)


def test_samples_of_another_shape_are_refused(project: tuple[Path, Manifest], compiler: Compiler) -> None:
    with pytest.raises(InputError, match=r"samples of shape \(3, 63\), the design takes n x 64"):
        simulate(*project, WORDS[:, 1:])
