"""What a front end is to compute: ``FeatureSpec``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["mfcc", "mel", "lfcc", "linear", "cepstrum", "flatness", "phase", "modulation", "correlation"]
KINDS: tuple[str, ...] = get_args(Kind)
# Kinds that sum the frames up themselves; there is nothing left for statistics.
VECTORS = ("modulation", "correlation")
# What `phase` gives of each band.
PHASE_MEASURES = 4


@dataclass(frozen=True)
class FeatureSpec:
    """
    Everything that defines a front end.

    Attributes:
        kind: What is computed, see ``deepfake_audio.features``.
        sample_rate: In Hz.
        n_fft: Length of the FFT in samples.
        window_length: Length of the Hann window in samples, at most ``n_fft``.
        hop_length: Step from frame to frame in samples.
        n_bands: Bands of all kinds but ``linear``.
        n_coefficients: Coefficients of ``mfcc`` and ``lfcc``, and how many ``cepstrum`` looks at.
        f_min: Lower edge in Hz.
        f_max: Upper edge in Hz, at most half the sample rate.
        deltas: 0, 1 (first) or 2 (first and second differences).
        statistics: Any of ``mean``, ``std``, ``min``, ``max`` and percentiles such as ``p25``; none keeps the frames.
        normalise_level: Remove the mean of each window and scale it to a root mean square of 1 first.
    """

    kind: Kind
    sample_rate: int = 16_000
    n_fft: int = 512
    window_length: int = 400
    hop_length: int = 160
    n_bands: int = 64
    n_coefficients: int = 20
    f_min: float = 0.0
    f_max: float = 8_000.0
    deltas: int = 0
    statistics: tuple[str, ...] = ()
    normalise_level: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        checks = {
            f"kind must be one of {', '.join(KINDS)}": self.kind in KINDS,
            "window_length must be between 2 and n_fft": 2 <= self.window_length <= self.n_fft,  # noqa: PLR2004
            "sample_rate must be 4000 to 384000": 4_000 <= self.sample_rate <= 384_000,  # noqa: PLR2004
            "n_fft must be even": self.n_fft % 2 == 0,
            "hop_length must be positive": self.hop_length > 0,
            "n_bands must be positive": self.n_bands > 0,
            "n_coefficients must be between 1 and n_bands": (
                self.kind not in ("mfcc", "lfcc") or 1 <= self.n_coefficients <= self.n_bands
            ),
            "n_coefficients must be a multiple of n_bands, at most n_fft / 2": (
                self.kind != "cepstrum"
                or (self.n_coefficients % self.n_bands == 0 and 1 <= self.n_coefficients <= self.n_fft // 2)
            ),
            f"{' and '.join(VECTORS)} take no deltas and no statistics": (
                self.kind not in VECTORS or not (self.deltas or self.statistics)
            ),
            "f_min < f_max <= sample_rate / 2 must hold": 0 <= self.f_min < self.f_max <= self.sample_rate / 2,
            "deltas must be 0, 1 or 2": self.deltas in (0, 1, 2),
            "statistics must be mean, std, min, max or p0 to p100": all(map(_is_statistic, self.statistics)),
        }
        for rule, holds in checks.items():
            if not holds:
                raise DataError(f"feature spec: {rule}, got {self}")
        if len(bins(self)) == 0:
            raise DataError(f"feature spec: no FFT bin lies between f_min and f_max, got {self}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FeatureSpec:
        """
        Build from what ``to_dict`` gave.

        Raises:
            DataError: If a key is unknown or missing, or a value does not fit.

        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - known:
            raise DataError(f"feature spec: unknown keys {sorted(unknown)}")
        try:
            return cls(**{**values, "statistics": tuple(values.get("statistics", ()))})
        except (TypeError, AttributeError) as error:  # a missing key, or a value of another type
            raise DataError(f"feature spec: {error}") from error

    def changed(self, text: str) -> FeatureSpec:
        """
        Return this spec changed by a short text: a kind, then ``key=value`` pairs, separated by commas.

        Raises:
            DataError: If a key is unknown or a value does not fit.

        Examples:
            >>> FeatureSpec("mfcc").changed("lfcc,n_bands=40,statistics=mean+std").statistics
            ('mean', 'std')
        """
        kind, *pairs = text.split(",")
        values: dict[str, Any] = {**self.to_dict(), "kind": kind.strip()}
        for pair in pairs:
            key, _, value = (part.strip() for part in pair.partition("="))
            if key not in values:
                raise DataError(f"features: unknown key {key!r}; keys: {', '.join(list(values)[1:])}")
            try:
                values[key] = converted(values[key], value)
            except ValueError:
                raise DataError(f"features: {key}={value!r} is not a {type(values[key]).__name__}") from None
        return self.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {**dataclasses.asdict(self), "statistics": list(self.statistics)}

    @property
    def is_vector(self) -> bool:
        """Whether a window gives a vector, not frames."""
        return bool(self.statistics) or self.kind in VECTORS


def converted(like: object, text: str) -> object:
    """Return a text as a value of the type that ``like`` has; raises ``ValueError``."""
    if isinstance(like, bool):
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if isinstance(like, list):
        return [part for part in text.split("+") if part]
    return type(like)(text)  # type: ignore[call-arg]


def _is_statistic(name: str) -> bool:
    percent = name.removeprefix("p")
    return name in {"mean", "std", "min", "max"} or (
        name.startswith("p") and percent.isdecimal() and int(percent) <= 100  # noqa: PLR2004
    )


def bins(spec: FeatureSpec) -> npt.NDArray[np.int64]:
    """Return the FFT bins within [f_min, f_max]."""
    hz = np.arange(1 + spec.n_fft // 2) * spec.sample_rate / spec.n_fft
    return np.flatnonzero((hz >= spec.f_min) & (hz <= spec.f_max))


def n_frames(spec: FeatureSpec, window_samples: int) -> int:
    """Return how many frames a window of signal gives; the second differences of ``phase`` cost two."""
    return 1 + window_samples // spec.hop_length - (2 if spec.kind == "phase" else 0)


def modulation_bands(spec: FeatureSpec, window_samples: int) -> list[tuple[int, int]]:
    """
    Return the bands of modulation frequencies, as first and last bin of the Fourier transform over the frames.

    They begin at 0.5 Hz and are an octave wide up to an eighth of the frame rate, then a sixteenth of it, up to half
    the frame rate. Bands without a bin are left out.
    """
    rate, size = spec.sample_rate / spec.hop_length, modulation_size(spec, window_samples)
    octaves = [0.5 * 2**k for k in range(20) if 0.5 * 2**k < rate / 8]
    edges = np.array([*octaves, *(np.arange(2, 9) * rate / 16)])
    hz = np.arange(1 + size // 2) * rate / size
    at = np.searchsorted(hz, edges)
    return [(int(first), int(last)) for first, last in zip(at[:-1], at[1:], strict=True) if last > first]


def modulation_size(spec: FeatureSpec, window_samples: int) -> int:
    """Return the length of the Fourier transform over the frames: the next power of two."""
    return 1 << (n_frames(spec, window_samples) - 1).bit_length()


def feature_shape(specs: FeatureSpec | Sequence[FeatureSpec], window_samples: int) -> tuple[int, ...]:
    """Return the shape of one window's features: (channels, n_frames), or (n_features,) for vectors, end to end."""
    if not isinstance(specs, FeatureSpec):
        shapes = [feature_shape(spec, window_samples) for spec in specs]
        return shapes[0] if len(shapes) == 1 else (sum(size for (size,) in shapes),)
    spec = specs
    if spec.kind == "modulation":
        return (spec.n_bands * len(modulation_bands(spec, window_samples)),)
    if spec.kind == "correlation":
        return (spec.n_bands**2,)
    channels = {
        "linear": len(bins(spec)),
        "mfcc": spec.n_coefficients,
        "lfcc": spec.n_coefficients,
        "phase": PHASE_MEASURES * spec.n_bands,
    }.get(spec.kind, spec.n_bands) * (1 + spec.deltas)
    if spec.statistics:
        return (channels * len(spec.statistics),)
    return (channels, n_frames(spec, window_samples))
