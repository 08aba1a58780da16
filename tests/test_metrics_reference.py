"""Metrics equal what the official evaluation code of the field gives, on real and on awkward scores."""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from deepfake_audio import metrics
from deepfake_audio.metrics.costs import tdcf_weighing

if TYPE_CHECKING:
    from collections.abc import Iterator

Scores = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data" / "metrics"
SYNTHETIC = [
    "synthetic/ties_integers.csv",
    "synthetic/ties_shuffled_rows.csv",
    "synthetic/perfect_separation.csv",
    "synthetic/perfect_inversion.csv",
    "synthetic/all_equal.csv",
    "synthetic/one_per_class_right.csv",
    "synthetic/one_per_class_wrong.csv",
    "synthetic/binary_decisions.csv",
    "synthetic/calibrated_llr.csv",
    "synthetic/miscalibrated_llr.csv",
    "synthetic/heavy_imbalance_few_bona.csv",
]
PUBLISHED = [
    "real/asv19la_eval_aasist_l.csv.gz",
    "real/asv19la_dev_aasist_l_pr9.csv.gz",
    "real/asv19la_eval_rawgat_st_mul.csv.gz",
    "real/asv5_eval50k_wavlm_erm_prob.csv.gz",
    "small/asv19la_aasist_l_every10.csv.gz",
    "small/asv19la_air_ocsoftmax_every10.csv.gz",
    "small/asv5_w2v2_erm_prob_every10.csv.gz",
]

# What says where numbers come from, and one figure that is not offered: interpolation without hull.
NO_FIGURES = {"file", "sha256", "provenance", "published_check", "eer_interpolated_sasv2022"}
NO_VALUES = {"identical_in", "rule", "positive_class", "asv_scores", "error"}


def read_scores(path: Path) -> tuple[Scores, dict[str, Scores]]:
    """Return the scores of bona fide trials, and those of each attack."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    by_attack: dict[str, list[float]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        by_attack.setdefault("bonafide" if row["key"] == "bonafide" else row["attack"], []).append(float(row["score"]))
    attacks = {name: np.array(scores) for name, scores in by_attack.items()}
    return attacks.pop("bonafide"), attacks


@functools.cache
def read_expected(path: Path) -> dict[str, Any]:
    """Return what the official evaluation code gave."""
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@functools.cache
def read_asv(shared: Path, part: str) -> dict[str, dict[str, Scores]]:
    """Return the official ASV scores of ASVspoof 2019 LA: by kind of trial, and within that by attack."""
    path = shared / "metrics" / "asv" / f"ASVspoof2019.LA.asv.{part}.gi.trl.scores.txt.gz"
    by_kind: dict[str, dict[str, list[float]]] = {}
    for line in gzip.decompress(path.read_bytes()).decode("ascii").splitlines():
        attack, kind, score = line.split()
        by_kind.setdefault(kind, {}).setdefault(attack, []).append(float(score))
    return {kind: {attack: np.array(s) for attack, s in by.items()} for kind, by in by_kind.items()}


def flat(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in nested mappings with the names that lead to it."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in NO_VALUES:
                yield from flat(part, f"{path}/{name}")
    else:
        assert isinstance(value, int | float), path
        yield path, value


def within(path: str, value: float) -> Any:
    """Return what compares within the tolerances of `meta.suggested_tolerance`."""
    if "cllr" not in path:
        return pytest.approx(value, rel=0, abs=1e-5 if path.startswith("/pyllr") else 1e-12)
    if "min" not in path:
        return pytest.approx(value, rel=1e-10)
    return pytest.approx(value, rel=0, abs=1e-6 if path.startswith("/bosaris") else 1e-9)


def equal_error(bonafide: Scores, spoof: Scores) -> dict[str, float]:
    """Return the EER under the names of expected.json."""
    found = metrics.eer(bonafide, spoof)
    return {"eer": found.rate, "threshold": found.threshold}


def asvspoof5(bonafide: Scores, spoof: Scores) -> dict[str, float]:
    """Return the figures of ASVspoof 5, track 1, under the names of expected.json."""
    least = metrics.min_dcf(bonafide, spoof)
    return {
        "minDCF": least.value,
        "minDCF_threshold": least.threshold,
        "eer": metrics.eer(bonafide, spoof).rate,
        "cllr_bits": metrics.cllr(bonafide, spoof),
        "actDCF": metrics.act_dcf(bonafide, spoof),
        "actDCF_threshold": metrics.bayes_threshold(),
    }


def asvspoof5_attack(bonafide: Scores, spoof: Scores) -> dict[str, float]:
    """Return the same without thresholds."""
    return {name: value for name, value in asvspoof5(bonafide, spoof).items() if "threshold" not in name}


def tandem(found: metrics.MinCost) -> dict[str, float]:
    """Return a minimum t-DCF under the names of expected.json."""
    return {"min_tdcf": found.value, "cm_threshold": found.threshold}


def positive(figures: metrics.ClassFigures) -> dict[str, float]:
    """Return the figures of a positive class."""
    return {"precision": figures.precision, "recall": figures.recall, "f1": figures.f1}


def at_0(bonafide: Scores, spoof: Scores) -> dict[str, Any]:
    """Return what decisions at 0 give, under the names of expected.json."""
    found = metrics.decisions(bonafide, spoof, 0.0)
    assert found.frr == found.n_bonafide_rejected / len(bonafide)
    assert found.far == found.n_spoof_accepted / len(spoof)
    return {
        "accuracy": found.accuracy,
        "balanced_accuracy": found.balanced_accuracy,
        "bonafide_positive": positive(found.bonafide),
        "spoof_positive": positive(found.spoof),
        "macro_f1": (found.bonafide.f1 + found.spoof.f1) / 2,
        "confusion": {
            "bonafide_as_bonafide": found.n_bonafide_accepted,
            "bonafide_as_spoof": found.n_bonafide_rejected,
            "spoof_as_bonafide": found.n_spoof_accepted,
            "spoof_as_spoof": found.n_spoof_rejected,
        },
    }


def figures(bonafide: Scores, attacks: dict[str, Scores], asv: metrics.AsvRates) -> dict[str, Any]:
    """Return every figure that can be had from scores and the rates of an ASV system, as expected.json has them."""
    spoof = np.concatenate(list(attacks.values()))
    hull, least = metrics.eer_hull(bonafide, spoof), metrics.min_cllr(bonafide, spoof)
    cost, of_5 = metrics.cllr(bonafide, spoof), asvspoof5(bonafide, spoof)
    return {
        "n_bonafide": len(bonafide),
        "n_spoof": len(spoof),
        "n_unique_scores": len(metrics.det_curve(bonafide, spoof).threshold) - 1,
        "n_scores_shared_by_both_classes": len(np.intersect1d(bonafide, spoof)),
        "eer_asvspoof": equal_error(bonafide, spoof),
        "eer_asvspoof_per_attack": {
            name: equal_error(bonafide, s) | {"n_spoof": len(s)} for name, s in attacks.items()
        },
        "auc_sklearn": metrics.roc_auc(bonafide, spoof),
        "threshold_0": at_0(bonafide, spoof),
        "asvspoof5_track1": of_5,
        "asvspoof5_track1_per_attack": {name: asvspoof5_attack(bonafide, s) for name, s in attacks.items()},
        "tdcf_2019_legacy": tandem(metrics.min_tdcf_2019(bonafide, spoof, asv)),
        "tdcf_v2_asv_constrained": tandem(metrics.min_tdcf(bonafide, spoof, asv)),
        "tdcf_v2_asvspoof5_default_asv": tandem(metrics.min_tdcf(bonafide, spoof, metrics.ASVSPOOF5_ASV)),
        "bosaris_octave": {
            "eer_rocch": hull,
            "cllr": cost,
            "min_cllr_pav": least,
            "minDCF_asv5_operating_point": of_5["minDCF"],
            "actDCF_asv5_operating_point": of_5["actDCF"],
        },
        "pyllr": {"eer_rocch_brent": hull, "cllr": cost, "min_cllr": least},
        "lir_1_3_1": {"cllr": cost, "cllr_min": least},
    }


def compare(expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Assert that every number of `expected` was found."""
    wanted = dict(flat({key: value for key, value in expected.items() if key not in NO_FIGURES}))
    have = dict(flat(found))
    assert len(wanted) >= 30
    assert {path: have.get(path) for path in wanted} == {path: within(path, value) for path, value in wanted.items()}


@functools.cache
def rates_of(asv_scores: Path, part: str) -> metrics.AsvRates:
    """Return the ASV rates that expected.json gives."""
    rates = read_expected(asv_scores)["asv_scores"][part]
    return metrics.AsvRates(rates["threshold"], rates["Pfa_asv"], rates["Pmiss_asv"], rates["Pfa_spoof_asv"])


# --- scores made to be awkward ---------------------------------------------------------------------------------


def test_no_synthetic_vector_is_forgotten() -> None:
    """Every file is compared."""
    assert sorted(SYNTHETIC) == sorted(read_expected(DATA / "expected.json")["vectors"])
    assert sorted(SYNTHETIC) == sorted(f"synthetic/{path.name}" for path in DATA.glob("*.csv"))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic_vectors(name: str) -> None:
    """Ties, single trials, perfect and inverted scores, few of one class: all as the official code has it."""
    expected = read_expected(DATA / "expected.json")["vectors"][name]
    part = expected["tdcf_2019_legacy"].get("asv_scores", "eval")
    found = figures(*read_scores(DATA / Path(name).name), rates_of(DATA / "expected.json", part))
    compare(expected, found)


@pytest.mark.parametrize(
    ("name", "frr", "far"),
    [
        pytest.param("synthetic/all_equal.csv", 0.0, 1.0, id="all equal, all accepted"),
        pytest.param("synthetic/one_per_class_right.csv", 0.0, 0.0, id="right"),
        pytest.param("synthetic/one_per_class_wrong.csv", 0.0, 1.0, id="wrong, all accepted"),
        pytest.param("synthetic/binary_decisions.csv", 5 / 50, 20 / 100, id="hard decisions"),
    ],
)
def test_tandem_cost_that_the_official_code_refuses(name: str, frr: float, far: float) -> None:
    """With fewer than three distinct scores the packages exit; here the cost is that of the best threshold."""
    expected = read_expected(DATA / "expected.json")["vectors"][name]
    assert "binary decisions" in expected["tdcf_2019_legacy"]["error"]
    assert "binary decisions" in expected["tdcf_v2_asv_constrained"]["error"]
    bonafide, attacks = read_scores(DATA / Path(name).name)
    spoof = np.concatenate(list(attacks.values()))
    # C1 = 0.8 (1 - 1/4) - 0.1 * 10 * 0.1 = 1/2, C2 = 10 * 0.1 * 1/2 = 1/2; C0 = 0.8 / 4 + 0.1 * 10 * 0.1 = 0.3.
    asv, priors = metrics.AsvRates(None, 0.1, 0.25, 0.5), (0.8, 0.1, 0.1)
    legacy = metrics.min_tdcf_2019(bonafide, spoof, asv, metrics.Tdcf2019Costs(*priors))
    assert legacy.value == pytest.approx(frr + far)
    since = metrics.min_tdcf(bonafide, spoof, asv, metrics.TdcfCosts(*priors))
    assert since.value == pytest.approx((0.3 + (frr + far) / 2) / 0.8)


# --- published scores ------------------------------------------------------------------------------------------


def test_no_published_vector_is_forgotten(shared: Path) -> None:
    """Every file for which there are official numbers is compared, and the copies in this repository are true."""
    expected = read_expected(shared / "metrics" / "expected.json")
    assert sorted(SYNTHETIC + PUBLISHED) == sorted(expected["vectors"])
    copy = read_expected(DATA / "expected.json")
    assert copy["asv_scores"] == expected["asv_scores"]
    for name in SYNTHETIC:
        assert (DATA / Path(name).name).read_bytes() == (shared / "metrics" / name).read_bytes()
        original = expected["vectors"][name]
        assert copy["vectors"][name] == {
            key: original[key] for key in original.keys() - {"file", "sha256", "provenance"}
        }


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_vectors(name: str, shared: Path) -> None:
    """Scores of AASIST-L, RawGAT-ST, AIR-ASVspoof and two models on ASVspoof 5, pooled and per attack."""
    path = shared / "metrics" / "expected.json"
    expected = dict(read_expected(path)["vectors"][name])
    expected.pop("tdcf_v2_per_attack_asv21_wrapper", None)  # below
    part = expected.get("tdcf_2019_legacy", {}).get("asv_scores", "eval")
    compare(expected, figures(*read_scores(shared / "metrics" / name), rates_of(path, part)))


@pytest.mark.parametrize("part", ["eval", "dev"])
def test_asv_rates_are_the_official_ones(part: str, shared: Path) -> None:
    """Threshold and rates of the official ASV scores are those that the packages derive from them."""
    scores = {kind: np.concatenate(list(by.values())) for kind, by in read_asv(shared, part).items()}
    found = metrics.asv_rates(scores["target"], scores["nontarget"], scores["spoof"])
    expected = read_expected(shared / "metrics" / "expected.json")["asv_scores"][part]
    assert found.threshold == expected["threshold"]
    assert found.false_alarm == within("", expected["Pfa_asv"])
    assert found.miss == within("", expected["Pmiss_asv"])
    assert found.spoof_accepted == within("", expected["Pfa_spoof_asv"])
    assert 1 - found.spoof_accepted == within("", expected["Pmiss_spoof_asv"])


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith("real/asv19la")])
def test_tandem_cost_per_attack(name: str, shared: Path) -> None:
    """With the ASV scores of each attack alone, t-DCF and its constants are those of the wrapper of ASVspoof 2021."""
    expected = read_expected(shared / "metrics" / "expected.json")["vectors"][name]
    asv = read_asv(shared, expected["tdcf_2019_legacy"]["asv_scores"])
    target, nontarget = (np.concatenate(list(asv[kind].values())) for kind in ("target", "nontarget"))
    bonafide, attacks = read_scores(shared / "metrics" / name)
    found = {}
    for attack, spoof in attacks.items():
        rates = metrics.asv_rates(target, nontarget, asv["spoof"][attack])
        weighing = tdcf_weighing(rates, metrics.TdcfCosts())
        found[attack] = {
            "min_tdcf": metrics.min_tdcf(bonafide, spoof, rates).value,
            "eer": metrics.eer(bonafide, spoof).rate,
            "C0": weighing.c0,
            "C1": weighing.c1,
            "C2": weighing.c2,
        }
    compare(expected["tdcf_v2_per_attack_asv21_wrapper"], found)
