"""The features against independent computations: loops, scipy, TensorFlow's published numbers, closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.fft import dct
from scipy.signal import get_window

from codesign.errors import InputError
from codesign.network.tasks import features


def tone(frequency_hz: float) -> np.ndarray:
    return 9000 * np.sin(2 * np.pi * frequency_hz * np.arange(16_000) / 16_000)


def reference_mfcc(clip: np.ndarray) -> np.ndarray:
    """One clip by the definitions, with loops: DFT matrix, triangles by hand, scipy's cosine transform."""
    samples = clip / max(abs(clip))
    window = get_window("hann", 480)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(480)) / 512)
    edges = [1127 * math.log(1 + 20 / 700) + i * 1127 * math.log((700 + 4000) / (700 + 20)) / 41 for i in range(42)]
    rows = []
    for frame in range(49):
        spectrum = abs(dft @ (samples[320 * frame : 320 * frame + 480] * window))
        bands = [0.0] * 40
        for band in range(40):
            low, centre, high = edges[band : band + 3]
            for k in range(1, 257):
                mel = 1127 * math.log(1 + k * 31.25 / 700)
                if low < mel <= centre:
                    bands[band] += spectrum[k] * (mel - low) / (centre - low)
                elif centre < mel < high:
                    bands[band] += spectrum[k] * (high - mel) / (high - centre)
        rows.append(dct(np.log(np.array(bands) + 1e-6), type=2)[:10] / math.sqrt(2 * 40))
    return np.array(rows)


def test_coefficients_equal_a_computation_by_the_definitions() -> None:
    clip = np.random.default_rng(0).normal(scale=1000, size=16_000) + tone(440)
    assert features.mfcc(clip[None])[0] == pytest.approx(reference_mfcc(clip), abs=1e-9)


def test_mel_weights_equal_tensorflow() -> None:
    # Computed with TensorFlow as tf.signal.linear_to_mel_weight_matrix(8, 23), whose defaults are 8 kHz and 125 to 3,800 Hz;
    # published in the tests of tensorflow/lingvo (lingvo/tasks/asr). (bin, band): weight.
    expected = {(1, 0): 0.3533392, (2, 0): 0.6521328, (2, 1): 0.3478672, (3, 1): 0.81493515, (5, 3): 0.544091, (8, 4): 0.9072663, (12, 6): 0.6357064}
    weights = features.mel_weights(bands=8, bins=23, sample_rate_hz=8_000, lowest_hz=125, highest_hz=3_800)
    assert weights.shape == (23, 8)
    assert {place: weights[place] for place in expected} == pytest.approx(expected, rel=1e-5)


def test_mel_weights_are_triangles_between_the_edges() -> None:
    weights = features.mel_weights()
    assert weights.shape == (257, 40)
    assert weights.min() == 0
    assert weights.max() <= 1
    assert not weights[0].any(), "the constant bin"
    assert not weights[129:].any(), "above 4,000 Hz"
    assert (weights.sum(axis=1) <= 1 + 1e-12).all()


def test_window_is_the_periodic_hann_window() -> None:
    assert features.hann_window() == pytest.approx(get_window("hann", 480, fftbins=True), abs=1e-15)


def test_cepstrum_is_the_scaled_cosine_transform() -> None:
    bands = np.random.default_rng(1).normal(size=(3, 49, 40))
    assert features.cepstrum(bands) == pytest.approx(dct(bands, type=2, axis=2)[..., :10] / np.sqrt(80), abs=1e-12)


def test_zeros_give_the_logarithm_of_the_offset_in_the_first_coefficient_alone() -> None:
    made = features.mfcc(np.zeros((1, 16_000)))
    assert made.shape == (1, 49, 10)
    assert made[..., 0] == pytest.approx(np.full((1, 49), math.sqrt(2 / 40) * 40 * math.log(1e-6)))
    assert np.abs(made[..., 1:]).max() < 1e-9


@pytest.mark.parametrize("frequency_hz", [150.0, 440.0, 1000.0, 2500.0, 3700.0])
def test_a_tone_lands_in_the_band_around_it(frequency_hz: float) -> None:
    bands = features.log_mel(features.spectrogram(features.scale_to_peak(tone(frequency_hz)[None])))[0]
    edges_hz = 700 * (np.exp(np.linspace(math.log(1 + 20 / 700), math.log(1 + 4000 / 700), 42)) - 1)
    loudest = bands.argmax(axis=1)
    assert len(set(loudest)) == 1
    assert edges_hz[loudest[0]] < frequency_hz < edges_hz[loudest[0] + 2]


@pytest.mark.parametrize("factor", [-1, 0.25, -3])
def test_loudness_and_sign_do_not_matter(factor: float) -> None:
    clip = np.random.default_rng(2).normal(size=(1, 16_000))
    assert features.mfcc(factor * clip) == pytest.approx(features.mfcc(clip), abs=1e-9)


def test_clips_are_independent_of_their_neighbours() -> None:
    clips = np.random.default_rng(3).integers(-32_768, 32_768, size=(131, 16_000)).astype(np.int16)
    together = features.mfcc(clips)
    for number in (0, 127, 128, 130):
        assert together[number] == pytest.approx(features.mfcc(clips[number : number + 1])[0], abs=1e-12)


@pytest.mark.parametrize(("given", "kept"), [(0, 0), (7, 7), (16_000, 16_000), (20_000, 16_000)])
def test_fit_clip_pads_with_zeros_and_cuts_the_end(given: int, kept: int) -> None:
    clip = features.fit_clip(np.arange(1, given + 1, dtype=np.int16))
    assert clip.dtype == np.int16
    assert clip.tolist() == list(range(1, kept + 1)) + [0] * (16_000 - kept)


def test_clips_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 8000\).*16,000 samples"):
        features.mfcc(np.zeros((2, 8_000)))


def test_clips_that_are_not_finite_are_refused() -> None:
    clips = np.zeros((1, 16_000))
    clips[0, 5] = np.nan
    with pytest.raises(InputError, match="not finite"):
        features.mfcc(clips)
