"""What a front end is to compute: what is refused and how, and the ways in and out of a spec."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from references import make_spec

from deepfake_audio.errors import DataError
from deepfake_audio.features import KINDS, VECTORS, FeatureSpec, converted

WHOLE_NUMBERS = ("sample_rate", "n_fft", "window_length", "hop_length", "n_bands", "n_coefficients", "deltas", "lag")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"kind": "cqt"}, "kind must be one of mfcc, mel, lfcc, linear, .*, got .*'cqt'", id="kind"),
        pytest.param({"window_length": 513}, "window_length must be between 2 and n_fft", id="window-above-fft"),
        pytest.param({"window_length": 1}, "window_length must be between 2 and n_fft", id="window-of-one"),
        pytest.param({"n_fft": 511}, "n_fft must be even", id="odd-fft"),
        pytest.param({"n_fft": 0}, "window_length must be between 2 and n_fft", id="no-fft"),
        pytest.param({"hop_length": 0}, "hop_length must be positive", id="no-hop"),
        *(
            pytest.param({"kind": kind, "n_bands": 0}, "n_bands must be positive", id=f"no-bands-{kind}")
            for kind in KINDS
        ),
        *(
            pytest.param({"kind": kind, "n_coefficients": n}, "between 1 and n_bands", id=f"{kind}-{n}-coefficients")
            for kind in ("mfcc", "lfcc")
            for n in (0, 65)
        ),
        *(
            pytest.param({"kind": "cepstrum", "n_coefficients": n}, "must be a multiple of n_bands", id=f"cepstrum-{n}")
            for n in (-64, 0, 63, 65, 320)
        ),
        *(
            pytest.param({"kind": kind, key: value}, "modulation and correlation take no deltas", id=f"{kind}-{key}")
            for kind in VECTORS
            for key, value in (("deltas", 1), ("statistics", ["mean"]))
        ),
        pytest.param({"f_max": 8_001.0}, "f_min < f_max <= sample_rate / 2 must hold", id="above-nyquist"),
        pytest.param({"f_min": -1.0}, "f_min < f_max <= sample_rate / 2 must hold", id="negative"),
        pytest.param({"f_min": 8_000.0}, "f_min < f_max <= sample_rate / 2 must hold", id="empty-band"),
        pytest.param({"f_max": float("nan")}, "f_min < f_max <= sample_rate / 2 must hold", id="nan"),
        pytest.param({"f_max": float("inf")}, "f_min < f_max <= sample_rate / 2 must hold", id="infinite"),
        pytest.param({"f_min": 1_001.0, "f_max": 1_020.0}, "an FFT bin must lie between", id="between-two-bins"),
        *(
            pytest.param({"sample_rate": rate}, "sample_rate must be 4000 to 384000", id=f"{rate}-hz")
            for rate in (0, 3_999, 384_001)
        ),
        *(pytest.param({"deltas": n}, "deltas must be 0, 1 or 2", id=f"deltas-{n}") for n in (-1, 3)),
        *(pytest.param({"lag": n}, "lag must be 0 to 100", id=f"lag-{n}") for n in (-1, 101)),
        *(
            pytest.param(
                {"statistics": [name]}, "statistics must be mean, std, .* p0 to p100", id=f"statistic-{name!r:.8}"
            )
            for name in ("median", "p101", "p", "p-1", "p1.5", "p²", "", "mean\n", "p" + 5_000 * "9", 5, None, ["mean"])
        ),
    ],
)
def test_bad_specs(values: dict[str, Any], message: str) -> None:
    """What cannot be computed is refused at once, by the rule that it breaks, on one line."""
    with pytest.raises(DataError, match=f"^feature spec: .*{message}") as caught:
        FeatureSpec.from_dict({"kind": "mel", **values})

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(
            pytest.param({key: value}, f"{key} must be a whole number, got {value!r}", id=f"{key}-{value!r}")
            for key in WHOLE_NUMBERS
            for value in ("1", 2.0, True, None)
        ),
        *(
            pytest.param({key: value}, f"{key} must be a number, got {value!r}", id=f"{key}-{value!r}")
            for key in ("f_min", "f_max")
            for value in ("1", False, None)
        ),
        *(
            pytest.param({"normalise_level": value}, f"normalise_level must be true or false, got {value!r}", id=word)
            for word, value in (("level-text", "no"), ("level-number", 1), ("level-null", None))
        ),
        *(
            pytest.param({"statistics": value}, f"statistics must be a list, got {value!r}", id=word)
            for word, value in (("statistics-text", "mean"), ("statistics-number", 5), ("statistics-null", None))
        ),
        pytest.param({"kind": 5}, "kind must be a text, got 5", id="kind-number"),
        pytest.param({"kind": ["mel"]}, r"kind must be a text, got \('mel',\)", id="kind-list"),
        pytest.param({"bands": 64}, r"unknown keys \['bands'\]", id="unknown-key"),
    ],
)
def test_values_of_other_types(values: dict[str, Any], message: str) -> None:
    """What a file of another author may hold instead of a fitting value is refused by name."""
    with pytest.raises(DataError, match=f"^feature spec: {message}$"):
        FeatureSpec.from_dict({"kind": "mel", **values})


def test_every_field_has_a_type_test() -> None:
    """No field was left out of the table above."""
    tested = {*WHOLE_NUMBERS, "f_min", "f_max", "normalise_level", "statistics", "kind"}

    assert tested == {field.name for field in fields(FeatureSpec)}


def test_spec_without_kind() -> None:
    """A kind must be given, and which there are is said."""
    with pytest.raises(DataError, match="feature spec: it needs a kind, one of mfcc, mel"):
        FeatureSpec.from_dict({})


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"window_length": 2, "n_fft": 2}, id="shortest-window"),
        pytest.param({"window_length": 512}, id="window-as-long-as-the-fft"),
        pytest.param({"sample_rate": 4_000, "f_max": 2_000}, id="lowest-rate"),
        pytest.param({"sample_rate": 384_000}, id="highest-rate"),
        pytest.param({"f_min": 1_000.0, "f_max": 1_000.1}, id="one-bin"),
        pytest.param({"kind": "mfcc", "n_coefficients": 64}, id="as-many-coefficients-as-bands"),
        pytest.param({"kind": "cepstrum", "n_coefficients": 256}, id="cepstrum-of-half-the-fft"),
        pytest.param({"kind": "phase", "n_coefficients": 0}, id="coefficients-do-not-matter"),
        pytest.param({"statistics": ("p0", "p100", "p07", "crest")}, id="percentiles"),
        pytest.param({"lag": 100}, id="longest-lag"),
    ],
)
def test_the_limits_are_legal(values: dict[str, Any]) -> None:
    """The last value within each rule is taken as it is."""
    spec = FeatureSpec(**{"kind": "mel", **values})

    assert {key: getattr(spec, key) for key in values} == values


@pytest.mark.parametrize("kind", KINDS)
def test_spec_goes_through_json(kind: str) -> None:
    """A spec survives JSON."""
    summed: dict[str, Any] = {} if kind in VECTORS else {"deltas": 2, "statistics": ("mean", "p7", "crest")}
    spec = make_spec(kind, n_bands=30, f_min=50.0, normalise_level=False, lag=4, **summed)

    assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("kind", KINDS)
def test_is_vector(kind: str) -> None:
    """Statistics make a vector of frames; kinds that sum up by themselves are vectors without."""
    assert make_spec(kind).is_vector == (kind in VECTORS)
    if kind not in VECTORS:
        assert make_spec(kind, statistics=("mean",)).is_vector


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("mel", {"kind": "mel"}, id="kind"),
        pytest.param(" lfcc , n_bands = 40 ", {"kind": "lfcc", "n_bands": 40}, id="spaces"),
        pytest.param("mfcc,f_min=62.5,f_max=4000", {"f_min": 62.5, "f_max": 4_000.0}, id="numbers"),
        pytest.param("mfcc,statistics=mean+p90", {"statistics": ("mean", "p90")}, id="list"),
        pytest.param("mfcc,statistics=", {"statistics": ()}, id="empty-list"),
        pytest.param("correlation,statistics=,lag=5", {"kind": "correlation", "statistics": (), "lag": 5}, id="lag"),
        pytest.param("mfcc,normalise_level=false", {"normalise_level": False}, id="false"),
        pytest.param("mfcc,normalise_level=true", {}, id="true"),
        pytest.param("mel,n_bands=8", {"kind": "mel", "n_bands": 8}, id="coefficients-do-not-matter"),
        pytest.param("mfcc,deltas=1,deltas=2", {"deltas": 2}, id="last-one-counts"),
    ],
)
def test_changed(text: str, values: dict[str, Any]) -> None:
    """A short text changes what it names and nothing else."""
    spec = FeatureSpec("mfcc", statistics=("std",))

    assert spec.changed(text) == replace(spec, **values)


def test_limits_given_as_whole_numbers_can_be_changed_to_fractions() -> None:
    """A spec that says 2000 Hz takes 62.5 Hz."""
    assert FeatureSpec("mel", f_min=2_000, f_max=4_000).changed("mel,f_min=62.5").f_min == 62.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "kind must be one of", id="empty"),
        pytest.param("cqt", "kind must be one of", id="unknown-kind"),
        pytest.param("mel,bands=4", "unknown key 'bands'; keys: sample_rate, n_fft", id="unknown-key"),
        pytest.param("mel,", "unknown key ''", id="comma-at-the-end"),
        pytest.param("mel,n_bands=many", "n_bands='many' is not a int", id="no-number"),
        pytest.param("mel,n_bands", "n_bands='' is not a int", id="no-value"),
        pytest.param("mel,n_bands=1.5", "n_bands='1.5' is not a int", id="fraction"),
        pytest.param("mel,f_min=low", "f_min='low' is not a float", id="no-frequency"),
        pytest.param("mel,normalise_level=yes", "normalise_level='yes' is not a bool", id="no-boolean"),
        pytest.param("mel,sample_rate=8000", "f_max", id="does-not-fit-the-rest"),
        pytest.param("modulation,deltas=1", "take no deltas", id="does-not-fit-the-kind"),
    ],
)
def test_bad_changes(text: str, message: str) -> None:
    """A text that does not fit says what is wrong with it."""
    with pytest.raises(DataError, match=message):
        FeatureSpec("mfcc").changed(text)


@pytest.mark.parametrize(
    ("like", "text", "value"),
    [
        pytest.param(5, "7", 7, id="int"),
        pytest.param(0.5, "1e-3", 0.001, id="float"),
        pytest.param("a", "b", "b", id="str"),
        pytest.param(True, "false", False, id="bool"),
        pytest.param([], "a+b", ["a", "b"], id="list"),
    ],
)
def test_converted(like: object, text: str, value: object) -> None:
    """A text becomes what the value in its place is."""
    result = converted(like, text)

    assert result == value
    assert type(result) is type(value)
