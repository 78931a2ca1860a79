"""The commented study files that come with codesign, filled in for a task, a device and templates."""

from __future__ import annotations

import tomllib
from pathlib import Path
from string import Template

from codesign.errors import InputError
from codesign.search.specification import StudySpecification, check_names

DEFAULT_TEMPLATES = ("pe_array",)
STUDIES = Path(__file__).resolve().parents[1] / "data" / "studies"


def study_text(task: str, device: str, templates: tuple[str, ...]) -> str:
    """Text of a commented study file.

    Raises:
        InputError: no study file comes with that task, or a name is not known.
    """
    known = sorted(path.stem for path in STUDIES.glob("*.toml"))
    if task not in known:
        raise InputError(f"no built-in study for task {task!r}", where="--task", remedy=f"Choose from {', '.join(known)}")
    quoted = ", ".join(f'"{name}"' for name in templates)
    for name in (device, *templates):
        if not name.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"{name!r} is not a name", where="--device or --template", remedy="See `codesign devices` and `codesign templates`")
    name = "-".join([task, device, *(templates if templates != DEFAULT_TEMPLATES else ())])
    text = Template((STUDIES / f"{task}.toml").read_text(encoding="utf-8")).substitute(name=name, task=task, device=device, templates=quoted)
    check_names(_parse(text), where="arguments")
    return text


def builtin_study() -> StudySpecification:
    """Keyword spotting on a PYNQ-Z2 with a PE array: what `codesign run` does without a study file."""
    return _parse(study_text("kws", "pynq-z2", DEFAULT_TEMPLATES))


def _parse(text: str) -> StudySpecification:
    return StudySpecification.from_dict(tomllib.loads(text), where="built-in study")
