"""`deepfake-audio evaluate`: score files, comparison, stress, reports and plots, and what becomes of bad input."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
import soundfile
from signals import RATE, voice

if TYPE_CHECKING:
    from pathlib import Path

    from commandline import Run

# Four trials of each class: at the threshold 0 one of each is on the wrong side.
TRIALS = [
    ("LA_E_1000001", "-", "bonafide", 3.0),
    ("LA_E_1000002", "-", "bonafide", 2.0),
    ("LA_E_1000003", "-", "bonafide", 1.0),
    ("LA_E_1000004", "-", "bonafide", -1.5),
    ("LA_E_1000005", "A07", "spoof", -3.0),
    ("LA_E_1000006", "A07", "spoof", -2.0),
    ("LA_E_1000007", "A08", "spoof", -1.0),
    ("LA_E_1000008", "A08", "spoof", 1.5),
]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Return a score file of ASVspoof 2019, which tells the classes itself."""
    path = tmp_path / "scores.txt"
    path.write_text("".join(f"{utt} {system} {key} {score}\n" for utt, system, key, score in TRIALS))
    return path


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    """Return the protocol of these trials, without any audio."""
    path = tmp_path / "ASVspoof2019.LA.cm.eval.trl.txt"
    path.write_text("".join(f"LA_{i:04} {utt} - {system} {key}\n" for i, (utt, system, key, _) in enumerate(TRIALS)))
    return path


def two_columns(path: Path, change: float = 0.0) -> Path:
    """Write a score file of ASVspoof 2021, which does not tell the classes."""
    path.write_text("".join(f"{utt} {score + change}\n" for utt, _, _, score in TRIALS))
    return path


# --- score files -----------------------------------------------------------------------------------------------


def test_score_file_that_names_the_classes(run: Run, scores: Path) -> None:
    """No data set and no model are needed."""
    outcome = run("evaluate", "--scores", scores, "-f", "json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert (found["subject"], found["data"], found["layout"], found["model"]) == (str(scores), "", "asvspoof2019", None)
    assert found["figures"]["eer"]["value"] == 0.25
    assert (found["at_threshold"]["frr"], found["at_threshold"]["far"]) == (0.25, 0.25)
    assert [part["name"] for part in found["breakdowns"][0]["parts"]] == ["A07", "A08"]
    assert found["verdicts"] is None


def test_score_file_with_a_protocol(run: Run, protocol: Path, tmp_path: Path) -> None:
    """A file of ids and scores gets its classes from a protocol; the audio need not be there."""
    outcome = run("evaluate", protocol, "--scores", two_columns(tmp_path / "s.txt"), "-f", "json")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert (found["data"], found["layout"], found["partition"]) == (str(protocol), "asvspoof2019", ["eval"])
    assert found["figures"]["eer"]["value"] == 0.25


def test_score_threshold(run: Run, scores: Path) -> None:
    """Decisions on scores are made where the user says; the equal error rate stays."""
    found = json.loads(run("evaluate", "--scores", scores, "--score-threshold", "1.75", "-f", "json").out)
    assert (found["at_threshold"]["threshold"], found["at_threshold"]["frr"], found["at_threshold"]["far"]) == (
        1.75,
        0.5,
        0.0,
    )
    assert "at the threshold 1.75" in run("evaluate", "--scores", scores, "--score-threshold", "1.75").out


def test_two_score_files_are_compared(run: Run, protocol: Path, tmp_path: Path) -> None:
    """Shifted scores err elsewhere at the same threshold, and by as much at the best one."""
    files = [two_columns(tmp_path / "a.txt"), two_columns(tmp_path / "b.txt", 2.0)]
    outcome = run("evaluate", protocol, *(arg for file in files for arg in ("--scores", file)), "-f", "json")
    first, second = json.loads(outcome.out)["comparison"]["models"]
    assert (first["name"], second["name"]) == tuple(map(str, files))
    assert second["differences"]["eer"]["value"] == 0.0
    assert (second["figures"]["frr"], second["figures"]["far"]) == (0.0, 0.75)
    assert "difference" in run("evaluate", protocol, "--scores", files[0], "--scores", files[1]).out


def test_asv_scores(run: Run, scores: Path, tmp_path: Path) -> None:
    """With the scores of a speaker verification system there is min t-DCF, pooled and per attack."""
    asv = tmp_path / "asv.txt"
    rows = [("bonafide", "target", x) for x in (1.0, 2.0, 3.0, 4.0)]
    rows += [("bonafide", "nontarget", x) for x in (-4.0, -3.0, -2.0, 1.5)]
    rows += [(system, "spoof", x) for system in ("A07", "A08") for x in (-1.0, 2.5, 3.5)]
    asv.write_text("".join(f"{cm} {key} {score}\n" for cm, key, score in rows))
    found = json.loads(run("evaluate", "--scores", scores, "--asv-scores", asv, "-f", "json").out)
    assert 0 < found["figures"]["min_tdcf"]["value"] <= 1
    assert 0 < found["figures"]["min_tdcf_2019"]["value"] <= 1
    assert all(part["min_tdcf"] is not None for part in found["breakdowns"][0]["parts"])
    assert "min t-DCF (2021)" in run("evaluate", "--scores", scores, "--asv-scores", asv).out


def test_published_figures(run: Run, shared: Path) -> None:
    """AASIST-L on ASVspoof 2019 LA: 0.99 % EER and 0.0309 min t-DCF were published for this system."""
    metrics = shared / "metrics"
    outcome = run(
        "evaluate",
        *("--scores", metrics / "real" / "asv19la_eval_aasist_l.csv.gz"),
        *("--asv-scores", metrics / "asv" / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt.gz"),
        *("--resamples", "0", "-f", "json"),
    )
    found = json.loads(outcome.out)
    expected = json.loads((metrics / "expected.json").read_text())["vectors"]["real/asv19la_eval_aasist_l.csv.gz"]
    assert found["figures"]["eer"]["value"] == pytest.approx(expected["eer_asvspoof"]["eer"], abs=1e-12)
    systems = next(one["parts"] for one in found["breakdowns"] if one["name"] == "system")
    assert len(systems) == 13
    for part in systems:
        rate = expected["eer_asvspoof_per_attack"][part["name"]]
        rate = rate["eer"] if isinstance(rate, dict) else rate
        assert part["eer"]["value"] == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("format_", ["asvspoof2019", "asvspoof2021", "asvspoof5", "csv"])
def test_written_scores_give_the_same_evaluation(
    format_: str, run: Run, tiny_model: Path, voices: Path, tmp_path: Path
) -> None:
    """The scores of a model, written in any format, are evaluated to the same figures."""
    for number, file in enumerate(sorted(voices.rglob("*.wav"))[::3]):
        (tmp_path / "data" / file.parts[-3]).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "data" / file.parts[-3] / f"clip{number}.wav")
    args = ("evaluate", tmp_path / "data", "-f", "json", "-q", "--resamples", "0")
    written = tmp_path / "scores.txt"
    direct = json.loads(run(*args, "--model", tiny_model, "--write-scores", written, "--score-format", format_).out)
    again = json.loads(run(*args, "--scores", written).out)
    for name in ("eer", "cllr", "roc_auc", "min_dcf"):
        assert again["figures"][name] == pytest.approx(direct["figures"][name])


def test_names_that_a_score_format_cannot_tell_apart(run: Run, voices: Path, tmp_path: Path) -> None:
    """Official formats know no directories: where names repeat in these, that is said before any work."""
    path = tmp_path / "s.txt"
    outcome = run("evaluate", voices, "-q", "--write-scores", path, "--score-format", "asvspoof2021")
    assert outcome.code == 2
    assert "000" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not path.exists()


# --- bad input ---------------------------------------------------------------------------------------------------

GOOD = [f"{utt} {system} {key} {score}" for utt, system, key, score in TRIALS]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param([*GOOD[:2], "LA_E_1000009 - bonafide nan", *GOOD[2:]], "line 3", id="NaN"),
        pytest.param([*GOOD[:4], "LA_E_1000009 - bonafide high"], "line 5", id="text"),
        pytest.param([*GOOD, "LA_E_1000009 - bonafide 1.0 x y"], "line 9", id="columns"),
        pytest.param([*GOOD, GOOD[0]], "line 9", id="twice"),
        pytest.param([*GOOD, "LA_E_1000009 - maybe 1.0"], "line 9", id="label"),
        pytest.param([], "", id="nothing"),
        pytest.param(GOOD[:4], "no spoofed trials", id="one class"),
    ],
)
def test_bad_score_files(content: list[str], message: str, run: Run, tmp_path: Path) -> None:
    """One line names the file and the line; nothing is left behind."""
    path = tmp_path / "scores.txt"
    path.write_text("\n".join(content))
    outcome = run("evaluate", "--scores", path, "--report", tmp_path / "r.html", "-o", tmp_path / "r.json")
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert message in line
    assert str(path) in line or message == "no spoofed trials"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.txt"]


def test_line_ends_and_byte_order_mark(run: Run, tmp_path: Path) -> None:
    """Mixed line ends and a byte-order mark are read; so is a compressed file."""
    path = tmp_path / "scores.txt.gz"
    path.write_bytes(
        gzip.compress(b"\xef\xbb\xbf" + "\r\n".join(GOOD[:5]).encode() + b"\n" + "\n".join(GOOD[5:]).encode())
    )
    assert json.loads(run("evaluate", "--scores", path, "-f", "json").out)["figures"]["eer"]["value"] == 0.25


def test_ids_that_do_not_match(run: Run, protocol: Path, tmp_path: Path) -> None:
    """A score of a trial that the protocol does not have, and a trial without a score, are each one line."""
    path = two_columns(tmp_path / "s.txt")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "LA_E_9999999 0.5"]))
    outcome = run("evaluate", protocol, "--scores", path, "-q")
    assert outcome.code == 2
    assert "LA_E_9999999" in outcome.err
    assert "line 9" in outcome.err
    path.write_text("\n".join(lines[:-1]))
    outcome = run("evaluate", protocol, "--scores", path, "-q")
    assert outcome.code == 2
    assert "LA_E_1000008" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param([], "give DATA or --scores", id="nothing"),
        pytest.param(["--scores", "s", "--model", "default"], "--model or --scores", id="both"),
        pytest.param(["--scores", "s", "--stress"], "--stress and --shortcut-check need audio", id="stress"),
        pytest.param(["d", "--noises", "n"], "--noises and --rooms go with --stress", id="noises"),
        pytest.param(["d", "--asv-key", "k"], "--asv-key goes with --asv-scores", id="key"),
        pytest.param(["d", "--score-threshold", "1"], "--score-threshold goes with --scores", id="threshold"),
        pytest.param(["d", "--report", "r.pdf"], "--report writes .html, .htm, .md", id="report"),
        pytest.param(["d", "--report", "r.md", "--report", "./r.md"], "two results have the same name", id="twice"),
        pytest.param(["d", "--report", "no/such/r.md"], "there is no directory", id="directory"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str, run: Run) -> None:
    """Each contradiction is told before any work."""
    outcome = run("evaluate", *options)
    assert outcome.code == 2
    assert message in re.sub(r"[\s│]+", " ", outcome.err)


def test_unknown_breakdown(run: Run, scores: Path) -> None:
    """A name that the data do not tell is refused, with those that they do."""
    outcome = run("evaluate", "--scores", scores, "--by", "mood")
    assert outcome.code == 2
    assert "--by mood: the data do not tell it" in outcome.err
    assert "system" in outcome.err


def test_missing_audio_is_named_before_any_work(run: Run, tiny_model: Path, voices: Path, tmp_path: Path) -> None:
    """Some missing files are counted first; the others are evaluated, and the exit code tells."""
    copy = tmp_path / "voices"
    shutil.copytree(voices, copy)
    files = sorted(copy.rglob("*.wav"))
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\n" + "".join(f"{f},{f.parts[-3]}\n" for f in files))
    files[0].unlink()
    outcome = run("evaluate", manifest, "--model", tiny_model, "--resamples", "0")
    assert outcome.code == 3
    first = outcome.err.splitlines()[1]
    assert (
        first == f"deepfake-audio: {manifest}: 1 of 60 audio files are missing and will be left out, first: {files[0]}"
    )


# --- models on audio ---------------------------------------------------------------------------------------------


def test_two_models(run: Run, tiny_model: Path, voices: Path) -> None:
    """A model beside a shipped one, on the same clips; the same model twice is a mistake."""
    found = json.loads(run("evaluate", voices, "--model", tiny_model, "--model", "svm", "-f", "json", "-q").out)
    assert [one["name"] for one in found["comparison"]["models"]] == ["tiny", "svm"]
    assert found["subject"] == "tiny"
    outcome = run("evaluate", voices, "--model", tiny_model, "--model", tiny_model, "-q")
    assert outcome.code == 2
    assert "given twice" in re.sub(r"[\s│]+", " ", outcome.err)


def test_breakdown_by_a_column(run: Run, tiny_model: Path, voices: Path, tmp_path: Path) -> None:
    """Any column of a manifest can be asked for; language comes by itself."""
    manifest = tmp_path / "m.csv"
    rows = [
        f"{f},{f.parts[-3]},{'de' if i % 2 else 'en'},{'old' if i % 3 else 'young'}\n"
        for i, f in enumerate(sorted(voices.rglob("*.wav")))
    ]
    manifest.write_text("path,label,language,age\n" + "".join(rows))
    found = json.loads(run("evaluate", manifest, "--model", tiny_model, "--by", "age", "-f", "json", "-q").out)
    named = {one["name"]: [part["name"] for part in one["parts"]] for one in found["breakdowns"]}
    assert named["language"] == ["de", "en"]
    assert named["age"] == ["old", "young"]


def test_stress_and_shortcuts(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    """Each condition is a row beside clean; a data set whose fakes are louder shows itself."""
    for label, amplitude in (("bonafide", 0.02), ("spoof", 0.3)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(6):
            signal = voice(1.5, seed=number, robotic=label == "spoof")
            soundfile.write(tmp_path / "data" / label / f"{number}.wav", amplitude * signal / abs(signal).max(), RATE)
    args = ("evaluate", tmp_path / "data", "--model", tiny_model, "--stress", "--shortcut-check")
    outcome = run(*args, "-f", "json", "-q", "--resamples", "0")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    conditions = [row["condition"] for row in found["stress"]]
    assert conditions[0] == "clean"
    assert len(conditions) > 20
    assert found["stress"][0]["eer"] == found["figures"]["eer"]["value"]
    shortcuts = {one["name"]: one for one in found["shortcuts"]["shortcuts"]}
    assert (shortcuts["loudness"]["auc"], shortcuts["loudness"]["higher"]) == (1.0, "spoof")


# --- reports and plots -------------------------------------------------------------------------------------------


def test_reports_and_plots(run: Run, tiny_model: Path, voices: Path, tmp_path: Path) -> None:
    """A page with its plots inside, a Markdown file that shows those in the directory, and the plots in two formats."""
    page, marked, plots = tmp_path / "r.html", tmp_path / "r.md", tmp_path / "plots"
    args = ("--report", page, "--report", marked, "--plots", plots, "--resamples", "50")
    assert run("evaluate", voices, "--model", tiny_model, *args).code == 0
    names = {path.stem for path in plots.iterdir()}
    assert {"roc", "det", "pr", "histogram", "confusion", "reliability", "coverage"} <= names
    for name in names:
        assert (plots / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ET.parse(plots / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314 - written by ourselves
    written = page.read_text(encoding="utf-8")
    assert written.count("<svg") == written.count("</svg>") == len(names)
    ids = re.findall(r'\bid="([^"]+)"', written)
    assert len(ids) == len(set(ids))
    assert "http:" not in re.sub(
        r'http://www\.w3\.org/[^"]*|xmlns[^ >]*', "", re.sub(r"<rdf:RDF.*?</rdf:RDF>", "", written, flags=re.DOTALL)
    )
    shown = re.findall(r"!\[[\w-]+\]\((.+?)\)", marked.read_text(encoding="utf-8"))
    assert {f"plots/{name}.png" for name in names} == set(shown)


def test_the_same_run_gives_the_same_json(run: Run, tiny_model: Path, voices: Path) -> None:
    """No date, no order of processes: results can be compared with the last ones."""
    args = ("evaluate", voices, "--model", tiny_model, "-f", "json", "-q", "--resamples", "20")
    assert run(*args).out == run(*args).out
