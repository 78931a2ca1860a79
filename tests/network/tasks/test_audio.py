from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import InputError, ToolMissingError
from codesign.network.tasks.audio import read_clip

CLIPS = Path(__file__).parents[2] / "data" / "clips"
FLAC = CLIPS / "yes" / "fe1916ba_nohash_0.flac"


def write_wav(path: Path, samples: np.ndarray, *, rate_hz: int = 16_000, channels: int = 1, sample_bytes: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(sample_bytes)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return path


def test_wav_samples_come_back(tmp_path: Path) -> None:
    samples = np.array([0, 1, -1, 32_767, -32_768], dtype="<i2")
    found = read_clip(write_wav(tmp_path / "a.wav", samples))
    assert found.dtype == np.int16
    assert found.tolist() == samples.tolist()


def test_flac_holds_the_samples_of_the_same_clip_as_wav(tmp_path: Path) -> None:
    samples = read_clip(FLAC)
    assert samples.dtype == np.int16
    assert samples.shape == (16_000,)
    assert np.abs(samples).max() > 100
    assert (read_clip(write_wav(tmp_path / "a.wav", samples)) == samples).all()


@pytest.mark.parametrize(
    ("settings", "found"),
    [({"rate_hz": 8_000}, "at 8,000 Hz"), ({"channels": 2}, "2 channels"), ({"sample_bytes": 1}, "8 bits")],
)
def test_another_format_is_refused(settings: dict[str, int], found: str, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros(16, dtype=np.int16), **settings)
    with pytest.raises(InputError, match=rf"a\.wav: .*{found}.*not 1 channel of 16 bits at 16,000 Hz.*Convert it"):
        read_clip(path)


def test_flac_of_another_rate_is_refused(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="FLAC needs the extra dev")
    soundfile.write(tmp_path / "a.flac", np.zeros(100, dtype=np.int16), 44_100, subtype="PCM_16")
    with pytest.raises(InputError, match="at 44,100 Hz, not 1 channel"):
        read_clip(tmp_path / "a.flac")


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("content", [None, b"", b"RIFF", b"no audio at all, only text" * 9])
def test_an_unreadable_file_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: not a readable audio file.*again"):
        read_clip(path)


def test_flac_without_soundfile_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ToolMissingError, match=r"soundfile.*pip install"):
        read_clip(FLAC)
