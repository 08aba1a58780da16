"""What a front end is to compute: ``FeatureSpec``."""

from __future__ import annotations

import dataclasses
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["mfcc", "mel", "lfcc", "linear", "fine", "cepstrum", "flatness", "phase", "modulation", "correlation"]
KINDS: tuple[str, ...] = get_args(Kind)
# Kinds that sum the frames up themselves; there is nothing left for statistics.
VECTORS = ("modulation", "correlation")
# What `phase` gives of each band.
PHASE_MEASURES = 4
# By the text of a field's annotation: what its value must be, for Python and in words.
_TYPES: dict[object, tuple[Any, str]] = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "bool": (bool, "true or false"),
    "Kind": (str, "a text"),
    "tuple[str, ...]": (tuple, "a list"),
}
_STATISTIC = re.compile(r"mean|std|crest|min|max|p([0-9]{1,2}|100)")
_TEXTURE = re.compile(r"texture([2-9]|[12][0-9]|3[0-2])x([2-9]|[12][0-9]|3[0-2])")
# How many ranges of channels a texture tells apart.
TEXTURE_REGIONS = 4


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
        n_bands: Bands of all kinds but ``linear`` and ``fine``.
        n_coefficients: Coefficients of ``mfcc`` and ``lfcc``, and how many ``cepstrum`` looks at.
        f_min: Lower edge in Hz.
        f_max: Upper edge in Hz, at most half the sample rate.
        deltas: 0, 1 (first) or 2 (first and second differences).
        statistics: Any of ``mean``, ``std``, ``crest``, ``min``, ``max``, percentiles such as ``p25`` and textures
            such as ``texture7x13`` (patches of 7 channels by 13 frames, 2 to 32 each); none keeps the frames.
        normalise_level: Remove the mean of each window and scale it to a root mean square of 1 first.
        lag: How many frames lie between what ``correlation`` compares.
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
    lag: int = 2

    def __post_init__(self) -> None:
        """Refuse what cannot be computed."""
        self._require_types()
        self._require(
            {
                f"kind must be one of {', '.join(KINDS)}": self.kind in KINDS,
                "window_length must be between 2 and n_fft": 2 <= self.window_length <= self.n_fft,  # noqa: PLR2004
                "sample_rate must be 4000 to 384000": 4_000 <= self.sample_rate <= 384_000,  # noqa: PLR2004
                "n_fft must be even": self.n_fft % 2 == 0,
                "hop_length must be positive": self.hop_length > 0,
                "n_bands must be positive": self.n_bands > 0,
                "f_min < f_max <= sample_rate / 2 must hold": 0 <= self.f_min < self.f_max <= self.sample_rate / 2,
                "deltas must be 0, 1 or 2": self.deltas in (0, 1, 2),
                "lag must be 0 to 100": 0 <= self.lag <= 100,  # noqa: PLR2004
                "statistics must be mean, std, crest, min, max, p0 to p100 or texture2x2 to texture32x32": (
                    all(map(_is_statistic, self.statistics))
                ),
            }
        )
        self._require(
            {
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
                "an FFT bin must lie between f_min and f_max": len(bins(self)) > 0,
            }
        )

    def _require_types(self) -> None:
        for field in dataclasses.fields(self):
            value, (fitting, words) = getattr(self, field.name), _TYPES[field.type]
            if not isinstance(value, fitting) or isinstance(value, bool) != (fitting is bool):  # True is an int as well
                raise DataError(f"feature spec: {field.name} must be {words}, got {value!r}")

    def _require(self, rules: dict[str, bool]) -> None:
        for rule, holds in rules.items():
            if not holds:
                raise DataError(f"feature spec: {rule}, got {self}")

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
        if "kind" not in values:
            raise DataError(f"feature spec: it needs a kind, one of {', '.join(KINDS)}")
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**fields)

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
        like = {**values, "f_min": 0.0, "f_max": 0.0}  # where a whole number stands, a fraction may
        for pair in pairs:
            key, _, value = (part.strip() for part in pair.partition("="))
            if key not in values:
                raise DataError(f"features: unknown key {key!r}; keys: {', '.join(list(values)[1:])}")
            try:
                values[key] = converted(like[key], value)
            except ValueError:
                raise DataError(f"features: {key}={value!r} is not a {type(like[key]).__name__}") from None
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


def _is_statistic(name: object) -> bool:
    return isinstance(name, str) and (_STATISTIC.fullmatch(name) is not None or texture_patch(name) is not None)


def texture_patch(name: str) -> tuple[int, int] | None:
    """Return the channels and frames of a texture's patches, or nothing for another statistic."""
    sizes = _TEXTURE.fullmatch(name)
    return (int(sizes[1]), int(sizes[2])) if sizes else None


def bins(spec: FeatureSpec) -> npt.NDArray[np.int64]:
    """Return the FFT bins within [f_min, f_max]."""
    hz = np.arange(1 + spec.n_fft // 2) * spec.sample_rate / spec.n_fft
    return np.flatnonzero((hz >= spec.f_min) & (hz <= spec.f_max))


def n_spectra(spec: FeatureSpec, window_samples: int) -> int:
    """Return how many short-time spectra a window of signal gives."""
    return 1 + window_samples // spec.hop_length


def n_frames(spec: FeatureSpec, window_samples: int) -> int:
    """Return how many frames a window of signal gives; the second differences of ``phase`` cost two."""
    return n_spectra(spec, window_samples) - (2 if spec.kind == "phase" else 0)


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
    return [(int(first), int(last)) for first, last in itertools.pairwise(at) if last > first]


def modulation_size(spec: FeatureSpec, window_samples: int) -> int:
    """Return the length of the Fourier transform over the frames: the next power of two."""
    return 1 << (n_frames(spec, window_samples) - 1).bit_length()


def feature_shape(specs: FeatureSpec | Sequence[FeatureSpec], window_samples: int) -> tuple[int, ...]:
    """
    Return the shape of one window's features: (channels, n_frames), or (n_features,) for vectors, end to end.

    Raises:
        DataError: If a window is too short for a spec, or several do not all give vectors at one sample rate.
    """
    specs = (specs,) if isinstance(specs, FeatureSpec) else tuple(specs)
    shapes = [_shape(spec, window_samples) for spec in specs]
    if len(specs) == 1:
        return shapes[0]
    if not all(spec.is_vector for spec in specs) or len({spec.sample_rate for spec in specs}) != 1:
        kinds = ", ".join(spec.kind for spec in specs) or "none"
        raise DataError(f"features: only vectors, of one sample_rate, can be put end to end, got {kinds}")
    return (sum(size for (size,) in shapes),)


def _shape(spec: FeatureSpec, window_samples: int) -> tuple[int, ...]:
    fewest = {"phase": 3, "modulation": 3, "correlation": max(1, spec.lag) + 2}.get(spec.kind, 1)
    _require_frames(spec.kind, fewest, n_spectra(spec, window_samples), window_samples)
    if spec.kind == "modulation":
        return (spec.n_bands * len(modulation_bands(spec, window_samples)),)
    if spec.kind == "correlation":
        return (spec.n_bands**2,)
    channels = {
        "linear": len(bins(spec)),
        "fine": len(bins(spec)),
        "mfcc": spec.n_coefficients,
        "lfcc": spec.n_coefficients,
        "phase": PHASE_MEASURES * spec.n_bands,
    }.get(spec.kind, spec.n_bands) * (1 + spec.deltas)
    if spec.statistics:
        return (sum(_statistic_size(spec, name, channels, window_samples) for name in spec.statistics),)
    return (channels, n_frames(spec, window_samples))


def _statistic_size(spec: FeatureSpec, name: str, channels: int, window_samples: int) -> int:
    patch = texture_patch(name)
    if patch is None:
        return channels
    fewest = patch[0] + TEXTURE_REGIONS - 1
    if channels < fewest:
        raise DataError(
            f"features: {name} needs {fewest} channels or more, {spec.kind} has {channels}; "
            "take more channels or smaller patches"
        )
    _require_frames(name, patch[1], n_frames(spec, window_samples), window_samples)
    return TEXTURE_REGIONS * (patch[0] * patch[1] - 1)


def _require_frames(what: str, fewest: int, given: int, window_samples: int) -> None:
    if given < fewest:
        raise DataError(
            f"features: {what} needs {fewest} frames or more, a window of {window_samples:,} samples has {given}; "
            "make the window longer or hop_length shorter"
        )
