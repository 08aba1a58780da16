"""Score files: every format of the field as its packages write it, and everything that can be wrong with one."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path

import numpy as np
import pytest
from layouts import LA_KEYS, META, make_folders, touch, write

from deepfake_audio.datasets import Dataset, Label, Utterance, read_dataset
from deepfake_audio.detector import Detection, ModelRef, Skipped
from deepfake_audio.errors import DataError
from deepfake_audio.reports.records import WRITERS
from deepfake_audio.scorefiles import FORMATS, ScoreFile, match, read_scores, utterances_of, write_scores

# One file of each format, all with the same two scores.
EXAMPLES = {
    "asvspoof2019": "LA_E_1 - bonafide 1.5\nLA_E_2 A11 spoof -4.513984680175781\n",
    "asvspoof2021": "LA_E_1 1.5\nLA_E_2 -4.513984680175781\n",
    "asvspoof5": "filename\tcm-score\nLA_E_1\t1.5\nLA_E_2\t-4.513984680175781\n",
    "aasist5": "LA_0001 LA_E_1 1.5 bonafide\nLA_0002 LA_E_2 -4.513984680175781 spoof\n",
    "csv": "utt,attack,key,score\nLA_E_1,-,bonafide,1.5\nLA_E_2,A11,spoof,-4.513984680175781\n",
    "json": '[{"id": "LA_E_1", "score": 1.5},\n {"id": "LA_E_2", "score": -4.513984680175781}]\n',
    "jsonl": '{"id": "LA_E_1", "score": 1.5}\n{"id": "LA_E_2", "score": -4.513984680175781}\n',
}
# Formats of lines that stand by themselves.
LINES = [name for name in EXAMPLES if name != "json"]


def scores_of(path: Path, text: str) -> ScoreFile:
    """Write and read a score file."""
    return read_scores(write(path, text))


def utterance(name: str, label: Label = Label.SPOOF, **fields: str) -> Utterance:
    """Return an utterance whose path is its name."""
    return Utterance(Path(name), label, name, **fields)  # type: ignore[arg-type]


def written(scored: list[tuple[Utterance, float]], format_: str) -> str:
    """Return what is written."""
    stream = io.StringIO(newline="")
    write_scores(stream, scored, format_)
    return stream.getvalue()


# --- reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_formats_are_recognised(name: str, tmp_path: Path, *, packed: bool) -> None:
    """Each format is known by its first line, and says the same ids and scores to the last digit."""
    content = EXAMPLES[name].encode()
    path = tmp_path / ("s.gz" if packed else "s")
    path.write_bytes(gzip.compress(content) if packed else content)
    found = read_scores(path)
    assert (found.format, found.ids, found.path) == (name, ("LA_E_1", "LA_E_2"), path)
    assert found.scores.tolist() == [1.5, -4.513984680175781]
    assert found.scores.dtype == np.float64
    assert (len(found), found.unscored) == (2, ())


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text.replace("\n", "\r\n", 1), id="mixed endings"),
        pytest.param(lambda text: text + "\n\n \n", id="blank lines at the end"),
        pytest.param(lambda text: "\n" + text, id="blank line at the beginning"),
        pytest.param(lambda text: text.rstrip(), id="no newline at the end"),
    ],
)
def test_dialects(name: str, change: object, tmp_path: Path) -> None:
    """However a score file was saved, it says the same."""
    assert callable(change)
    found = scores_of(tmp_path / "s", change(EXAMPLES[name]))
    assert (found.format, found.ids) == (name, ("LA_E_1", "LA_E_2"))
    assert found.scores.tolist() == [1.5, -4.513984680175781]


def test_what_else_a_file_says(tmp_path: Path) -> None:
    """Keys, attacks and speakers are read where the format has them; bona fide has no attack."""
    found = {name: scores_of(tmp_path / name, text) for name, text in EXAMPLES.items()}
    assert {name for name, each in found.items() if each.labels} == {"asvspoof2019", "aasist5", "csv"}
    assert all(each.labels in {None, (Label.BONAFIDE, Label.SPOOF)} for each in found.values())
    assert found["asvspoof2019"].systems == found["csv"].systems == ("", "A11")
    assert found["aasist5"].facts == {"speaker": ("LA_0001", "LA_0002")}
    assert found["asvspoof5"].systems is None


@pytest.mark.parametrize("attack", ["-", "bonafide", "A00", "human"])
def test_attack_of_bonafide(attack: str, tmp_path: Path) -> None:
    """Whatever stands in the place of the attack, bona fide speech has no system."""
    assert scores_of(tmp_path / "s", f"LA_E_1 {attack} bonafide 1.5\n").systems == ("",)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        pytest.param("0.wav -13.842713356018066\n1.wav 2\n", ("0.wav", "1.wav"), id="In-the-Wild by SLS"),
        pytest.param("0 -4.555322170257568\n1 2\n", ("0", "1"), id="In-the-Wild without suffix"),
        pytest.param("E_1\t-4.5\nE_2\t+1e-3\n", ("E_1", "E_2"), id="tabs without header"),
        pytest.param("  E_1   -4.5\nE_2 1. \n", ("E_1", "E_2"), id="more spaces"),
        pytest.param("trial score\nE_1 -4.5\nE_2 1\n", ("E_1", "E_2"), id="spaces with header"),
        pytest.param("file;llr\nE 1;-4.5\nE 2;1\n;\n", ("E 1", "E 2"), id="semicolons, empty row"),
        pytest.param('Path , SCORE\n"a, b.wav",2\nc.wav, 1\n', ("a, b.wav", "c.wav"), id="quotes and case"),
        pytest.param(
            "spk\tfilename\tcm-score\tasv-score\tsasv-score\nX\tE_1\t1\t-\t3\nX\tE_2\t1\t2\t3\n",
            ("E_1", "E_2"),
            id="ASVspoof 5 track 2",
        ),
    ],
)
def test_other_tables(text: str, ids: tuple[str, ...], tmp_path: Path) -> None:
    """Tables with and without header, with all separators, and ids of any kind."""
    assert scores_of(tmp_path / "s", text).ids == ids


def test_columns_of_a_table_are_facts(tmp_path: Path) -> None:
    """What a table says besides is kept under its own names, or under the one that all data sets share."""
    found = scores_of(tmp_path / "s.csv", "utt,key,score,codec_q,lang,split\na,spoof,1,2,en,dev\nb,real,2,,,test\n")
    assert found.facts == {"codec_q": ("2", ""), "language": ("en", ""), "partition": ("dev", "test")}
    first, second = utterances_of(found)
    assert (first.partition, first.facts) == ("dev", {"codec_q": "2", "language": "en"})
    assert (second.partition, second.facts, second.is_bonafide) == ("eval", {}, True)


MODEL = ModelRef("default", "0" * 64)


def detection(path: str, llr: float | None) -> Detection:
    """Return what `predict` says of a recording."""
    return Detection(
        path, "no_speech" if llr is None else "genuine", None, llr, (), 2.5, 2.0, 16000, 1, "0" * 64, (), MODEL
    )


# Of a recording, of one without speech, and of one that could not be read.
RESULTS = [
    detection("d/a.wav", 1.23456),
    detection("d/b.wav", None),
    Skipped("d/c.wav", "damaged", "d/c.wav: is damaged", MODEL),
]


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl"])
def test_records_of_predict(format_: str, tmp_path: Path) -> None:
    """What `predict` writes is read; what has no score is kept apart; what a break-down can use is a fact."""
    stream = io.StringIO(newline="")
    WRITERS[format_](RESULTS, stream, segments=True)
    found = scores_of(tmp_path / "s", stream.getvalue())
    assert (found.format, found.ids, found.scores.tolist()) == (format_, ("d/a.wav",), [1.2346])
    assert found.unscored == ("d/b.wav", "d/c.wav")
    assert found.facts == {"duration_seconds": ("2.5",), "speech_seconds": ("2.0",), "sample_rate": ("16000",)}
    assert found.labels is None


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """A score is found again in an editor."""
    path = tmp_path / "s.csv"
    found = scores_of(path, '\nutt,score\n"a\nb",1\n\nc,2\n')
    assert [found.where(n) for n in range(2)] == [f"{path}, line 4", f"{path}, line 6"]
    assert scores_of(path, EXAMPLES["json"]).where(1) == f"{path}, record 2"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("", "s: holds no scores, it is empty", id="empty"),
        pytest.param("\n \n\r\n", "s: holds no scores, it is empty", id="blank"),
        pytest.param("utt,score\n", "s: holds no scores$", id="header only"),
        pytest.param("[]", "s: holds no scores$", id="no records"),
        pytest.param('{"id": "a"}\n', r"needs a column for the score \(score, llr_genuine", id="record without score"),
        pytest.param('{"id": "a", "score": null}', "s: holds no scores; 1 records have none", id="no score at all"),
        pytest.param("a 1\nb nan\nc inf\n", "line 2: the score of b is nan; 2 scores are not finite", id="NaN"),
        pytest.param("a 1\nb -inf\n", "line 2: the score of b is -inf$", id="infinite"),
        pytest.param("a 1\nb 1e999\n", "line 2: the score of b is inf$", id="too large"),
        pytest.param('{"id": "a", "score": NaN}', "line 1: the score of a is nan", id="NaN in JSON"),
        pytest.param("a 1\nb high\n", "line 2: expected a number as the score of b, found 'high'", id="text"),
        pytest.param("a spoof\n", "line 1: expected a number as the score of a, found 'spoof'", id="a key for a score"),
        pytest.param("a 1\nb 1_000\n", "line 2: expected a number .* '1_000'", id="Python's number"),
        pytest.param("utt,score\na,1\nb,\n", "line 3: expected a number as the score of b, found ''", id="no number"),
        pytest.param("utt,score\na,1.5\nb,1,5\n", "line 3: expected 2 columns .utt, score., found 3", id="comma"),
        pytest.param('{"id": "a", "score": [1]}', "line 1: expected a number .*1", id="list for a number"),
        pytest.param('{"id": "a", "score": true}', "line 1: expected a number .* found 'True'", id="true for a number"),
        pytest.param("a 1\nb 2 3\n", r"line 2: expected 2 columns \(id, score\), found 3", id="three columns"),
        pytest.param("a 1 2\n", "line 1: expected a header that names the id and the score; or", id="no format"),
        pytest.param("a,1\n", "line 1: expected a header .* found 'a,1'", id="CSV without header"),
        pytest.param("S LA_E_1 - A07 spoof\n", "line 1: expected a header .* found 'S LA_E_1", id="a protocol"),
        pytest.param("filename\tcm-label\na\tspoof\n", r"needs a column for the score \(.*cm-score", id="a key"),
        pytest.param("score,key\n1,spoof\n", r"needs a column for the id \(utterance_id, utt", id="no ids"),
        pytest.param("utt,score\n,1\n", "line 2: the id is empty", id="empty id"),
        pytest.param("a A1 spoof 1\nb A2 spook 2\n", "line 2: expected a label .* found 'spook'", id="unknown key"),
        pytest.param("a A1 spook 1\n", "line 1: expected a label .* found 'spook'", id="unknown key first"),
        pytest.param("a 1\nb 1\na 2\nb 3\n", "line 3: a stands already in line 1; 2 too many", id="twice"),
        pytest.param(
            "a A1 spoof 1\na A1 spoof 1\nb A1 spoof 1\nb - bonafide 1\n",
            "line 4: b stands already in line 3, there as spoof and here as bonafide; 2 too many",
            id="contradiction",
        ),
        pytest.param(
            '[{"id": "a", "score": 1},\n{"id": "a", "score": 1}]', "record 2: a .* record 1", id="twice, JSON"
        ),
        pytest.param('[\n{"id": "a", "score": 1},\n}]', "line 3: is no JSON", id="broken JSON"),
        pytest.param('{"id": "a", "score": 1}\n\n{"id":\n', "line 3: is no JSON", id="broken line"),
        pytest.param('{\n"id": "a", "score": 1}\n', "line 1: is no JSON", id="one record in lines"),
        pytest.param("[1]", "record 1: expected a record with an id and a score, found '1'", id="no record"),
        pytest.param('{"id": "a", "score": 1}\n"b"\n', "line 2: expected a record .* found 'b'", id="no record, later"),
        pytest.param("[" * 100_000, "line 1: is nested too deeply", id="deep"),
        pytest.param('{"schema": "x/1", "headline": {}}\n', "line 1: the id is empty", id="another record of ours"),
        pytest.param('utt,score\n"a,1\n' + "b,1\n" * 50_000, r"UTF-8 \(field larger than", id="open quote"),
    ],
)
def test_faults(text: str, match: str, tmp_path: Path) -> None:
    """Each fault is one line with the file, the line where there is one, what was expected and what was found."""
    path = tmp_path / "s"
    with pytest.raises(DataError, match=match) as raised:
        scores_of(path, text)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "name", "match"),
    [
        (b"a 1\ncaf\xe9 2\n", "s.txt", r"s\.txt: cannot be read as text in UTF-8 \(line 2: invalid continuation"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "s.txt", r"s\.txt: cannot be read as text in UTF-8 \(line 1: invalid start"),
        ("a 1\n".encode("utf-16"), "s.txt", r"s\.txt: cannot be read as text in UTF-8 \(line 1: invalid start"),
        (gzip.compress(b"a 1\n")[:-4], "s.gz", r"s\.gz: is damaged, it cannot be unpacked"),
        (b"a 1\n", "s.gz", r"s\.gz: is damaged, it cannot be unpacked"),
    ],
    ids=["Latin-1", "a picture", "UTF-16", "cut off", "not packed"],
)
def test_what_is_no_text(content: bytes, name: str, match: str, tmp_path: Path) -> None:
    """What cannot be read as text is refused with the file, and the line where there is one."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=match):
        read_scores(tmp_path / name)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A directory, and a file that is not there."""
    with pytest.raises(DataError, match="is a directory; give a score file"):
        read_scores(tmp_path)
    with pytest.raises(DataError, match=r"nowhere: cannot be opened \(No such file or directory\)"):
        read_scores(tmp_path / "nowhere")


@pytest.mark.parametrize("name", EXAMPLES)
def test_damage_is_never_a_traceback(name: str, tmp_path: Path) -> None:
    """A file in which anything was changed is read, or refused with one line that names it."""
    rng = random.Random(name)  # noqa: S311 - nothing secret
    path = tmp_path / "s"
    n_refused = 0
    for _ in range(400):
        content = bytearray(EXAMPLES[name].encode())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(content) + 1)
            patch = rng.choice(
                [b"", b"\n", b"\r", b" ", b"\t", b",", b'"', b"\0", b"\xff", b"nan", b"[", b"}", b"-", b"9"]
            )
            content[at : at + rng.randint(0, 3)] = patch
        path.write_bytes(content)
        try:
            found = read_scores(path)
            if found.labels:
                assert len(utterances_of(found)) == len(found)
            assert np.isfinite(found.scores).all()
        except DataError as error:
            n_refused += 1
            assert str(error).startswith(str(path))  # noqa: PT017 - both outcomes are right
    assert 0 < n_refused < 400


# --- labels in the file itself ---------------------------------------------------------------------------------


def test_utterances_of_a_file(tmp_path: Path) -> None:
    """A file that carries keys needs no data set."""
    first, second = utterances_of(scores_of(tmp_path / "s", EXAMPLES["asvspoof2019"]))
    assert first == Utterance(Path("LA_E_1"), Label.BONAFIDE, "LA_E_1")
    assert second == Utterance(Path("LA_E_2"), Label.SPOOF, "LA_E_2", system="A11")
    spoof = utterances_of(scores_of(tmp_path / "s", EXAMPLES["aasist5"]))[1]
    assert spoof == Utterance(Path("LA_E_2"), Label.SPOOF, "LA_E_2", speaker="LA_0002")


@pytest.mark.parametrize("name", ["asvspoof2021", "asvspoof5", "json", "jsonl"])
def test_utterances_of_a_file_without_labels(name: str, tmp_path: Path) -> None:
    """A file without keys needs a data set, and says so."""
    with pytest.raises(DataError, match=rf"s: says no labels \(format {name}\); give the data set, protocol or key"):
        utterances_of(scores_of(tmp_path / "s", EXAMPLES[name]))


# --- matching --------------------------------------------------------------------------------------------------


@pytest.fixture
def la_keys(tmp_path: Path) -> Dataset:
    """Return the utterances of a key of ASVspoof 2021: one of each subset."""
    return read_dataset(write(tmp_path / "keys" / "LA" / "CM" / "trial_metadata.txt", LA_KEYS))


LA_SCORES = "LA_E_1000002 -2\nLA_E_9332881 -1\nLA_E_1000001 3\n"


def test_match_in_the_order_of_the_data_set(la_keys: Dataset, tmp_path: Path) -> None:
    """Scores come in the order of the data set, whatever that of the file was."""
    found = match(scores_of(tmp_path / "s", LA_SCORES), la_keys)
    assert found.utterances == la_keys.utterances
    assert (found.scores.tolist(), found.unscored) == ([-1, 3, -2], ())


def test_match_a_part(la_keys: Dataset, tmp_path: Path) -> None:
    """A file of all subsets serves for one of them; one of one subset serves for that one only."""
    part = la_keys.select_subset("progress")
    assert match(scores_of(tmp_path / "s", LA_SCORES), part).scores.tolist() == [3]
    alone = scores_of(tmp_path / "s", "LA_E_1000001 3\n")
    assert match(alone, part).scores.tolist() == [3]
    expected = "s: has no score for 2 of 3 utterances of .*, first LA_E_9332881; there are scores of subset progress"
    with pytest.raises(DataError, match=expected):
        match(alone, la_keys)


def test_match_faults(la_keys: Dataset, tmp_path: Path) -> None:
    """Ids that are unknown, ids that are missing, and labels that contradict the data set."""
    unknown = scores_of(tmp_path / "s", LA_SCORES.replace("LA_E_9332881", "LA_E_7") + "LA_E_8 1\n")
    with pytest.raises(DataError, match=r"s, line 2: LA_E_7 is not in .*such as LA_E_9332881; 2 of 4 ids are unknown"):
        match(unknown, la_keys)
    with pytest.raises(DataError, match=r"s, line 1: x is not in .*; 1 of 1 ids are unknown"):
        match(scores_of(tmp_path / "s", "x 1\n"), la_keys)
    with pytest.raises(
        DataError, match=r"s: has no score for 1 of 3 utterances of .*, first LA_E_1000002; .* eval, progress"
    ):
        match(scores_of(tmp_path / "s", LA_SCORES[LA_SCORES.index("\n") + 1 :]), la_keys.select("eval"))
    keyed = "LA_E_9332881 A07 spoof 1\nLA_E_1000001 A19 spoof 1\nLA_E_1000002 A19 spoof 1\n"
    with pytest.raises(DataError, match="s, line 2: LA_E_1000001 is spoof here and bonafide in the data set"):
        match(scores_of(tmp_path / "s", keyed), la_keys)


def test_match_partition_without_scores(tmp_path: Path) -> None:
    """Where whole partitions have no scores, the message says which ones have."""
    data = read_dataset(touch(tmp_path, "dev/real/a.wav", "dev/fake/b.wav", "test/real/c.wav", "test/fake/d.wav"))
    with pytest.raises(DataError, match=r"no score for 2 of 4 .*; there are scores of partition dev \(--partition\)"):
        match(scores_of(tmp_path / "s", "a 1\nb 2\n"), data)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("4.wav 1\n0.wav 2\n", id="with suffix"),
        pytest.param("4 1\n0 2\n", id="without suffix"),
        pytest.param("4.flac 1\n0.flac 2\n", id="with another suffix"),
        pytest.param("release_in_the_wild/4.wav 1\nrelease_in_the_wild/0.wav 2\n", id="with directory"),
        pytest.param("C:\\data\\4.wav 1\nC:\\data\\0.wav 2\n", id="with a directory of Windows"),
    ],
)
def test_match_with_directory_and_suffix(text: str, tmp_path: Path) -> None:
    """Ids match with or without suffix and directory."""
    data = read_dataset(write(tmp_path / "meta.csv", META))
    assert match(scores_of(tmp_path / "s", text), data).scores.tolist() == [1, 2]


def test_match_by_as_much_of_the_path_as_is_needed(tmp_path: Path) -> None:
    """Where names repeat in several folders, the folders tell them apart."""
    names = [f"generated_audio/ljspeech_{vocoder}/LJ001-0001_gen.wav" for vocoder in ("melgan", "waveglow")]
    data = read_dataset(touch(tmp_path, *names))
    for text in ("/x/ljspeech_waveglow/LJ001-0001_gen.wav 1\n/x/ljspeech_melgan/LJ001-0001_gen.wav 2\n",):
        assert match(scores_of(tmp_path / "s", text), data).scores.tolist() == [2, 1]
    with pytest.raises(DataError, match="line 1: LJ001-0001_gen is not in"):
        match(scores_of(tmp_path / "s", "LJ001-0001_gen 1\n"), data)


def test_match_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of recordings match, seen from wherever, even where folders are of different depth."""
    touch(tmp_path / "data", "real/a.wav", "x/real/a.wav", "fake/b.wav")
    monkeypatch.chdir(tmp_path)
    text = "./data/real/a.wav 1\ndata/x/../x/real/a.wav 2\ndata/fake/b.wav 3\n"
    found = match(scores_of(tmp_path / "s", text), read_dataset(tmp_path / "data"))
    assert [(u.utterance_id, s) for u, s in zip(found.utterances, found.scores.tolist(), strict=True)] == [
        ("fake/b.wav", 3),
        ("real/a.wav", 1),
        ("x/real/a.wav", 2),
    ]


@pytest.mark.parametrize("format_", ["csv", "json", "jsonl"])
def test_match_records_of_predict(format_: str, tmp_path: Path) -> None:
    """Records of `predict` match a data set; what has no score is told apart from what is missing."""
    stream = io.StringIO(newline="")
    WRITERS[format_](RESULTS, stream, segments=False)
    scores = scores_of(tmp_path / "s", stream.getvalue())
    data = read_dataset(write(tmp_path / "m.csv", "path,label\na.wav,real\nb.wav,fake\nc.wav,fake\n"))
    found = match(scores, data)
    assert ([u.utterance_id for u in found.utterances], found.scores.tolist()) == (["a.wav"], [1.2346])
    assert [u.utterance_id for u in found.unscored] == ["b.wav", "c.wav"]
    more = read_dataset(write(tmp_path / "m.csv", "path,label\na.wav,real\nb.wav,fake\nc.wav,fake\nd.wav,fake\n"))
    with pytest.raises(DataError, match=r"no score for 1 of 4 utterances .*, first d\.wav"):
        match(scores, more)


# --- writing ---------------------------------------------------------------------------------------------------

SCORED = [
    (utterance("LA_E_1", Label.BONAFIDE, speaker="ann", source="LA"), 0.1),
    (utterance("LA_E_2", system="A11", speaker="bob", source="LA"), -1 / 3),
    (utterance("LA_E_3"), 1e-300),
]


def test_written_formats() -> None:
    """Each format is that of the official packages, line by line, with all digits."""
    assert {name: written(SCORED, name) for name in FORMATS} == {
        "asvspoof2019": ("LA_E_1 - bonafide 0.1\nLA_E_2 A11 spoof -0.3333333333333333\nLA_E_3 - spoof 1e-300\n"),
        "asvspoof2021": "LA_E_1 0.1\nLA_E_2 -0.3333333333333333\nLA_E_3 1e-300\n",
        "asvspoof5": "filename\tcm-score\nLA_E_1\t0.1\nLA_E_2\t-0.3333333333333333\nLA_E_3\t1e-300\n",
        "csv": (
            "utterance_id,system,key,score,partition,source,group,speaker\n"
            "LA_E_1,-,bonafide,0.1,,LA,,ann\n"
            "LA_E_2,A11,spoof,-0.3333333333333333,,LA,,bob\n"
            "LA_E_3,-,spoof,1e-300,,,,\n"
        ),
    }


@pytest.mark.parametrize("format_", FORMATS)
def test_round_trip(format_: str, tmp_path: Path) -> None:
    """What is written is read back in the same format, and matches, bit by bit."""
    rng = np.random.default_rng(5)
    values = [*rng.normal(0, 10, 200).tolist(), 1e308, -5e-324, 0.1 + 0.2]
    utterances = [utterance(f"LA_E_{n}", Label.BONAFIDE if n % 3 else Label.SPOOF) for n in range(len(values))]
    found = scores_of(tmp_path / "s", written(list(zip(utterances, values, strict=True)), format_))
    assert found.format == format_
    assert match(found, Dataset(tmp_path, "csv", tuple(utterances))).scores.tolist() == values


def test_csv_keeps_everything(tmp_path: Path) -> None:
    """Of our own format, an evaluation needs no data set: fields, facts and odd names come back."""
    odd = ["two words.wav", "line\nbreak.wav", "return\rthere.wav", 'a, "b".wav', "d/e.wav", "日本語.wav"]
    scored = [
        (Utterance(Path(name), Label.SPOOF, name, "dev", "page", "author", "vits 2", "ann", {"codec": "opus"}), 1.5)
        for name in odd
    ]
    scored.append((Utterance(Path("f.wav"), Label.BONAFIDE, "f.wav", facts={"score": "x", "Q": "1"}), 2.0))
    found = utterances_of(scores_of(tmp_path / "s", written(scored, "csv")))
    assert list(found) == [each for each, _ in scored]
    assert [each.facts for each in found] == [{"codec": "opus"}] * len(odd) + [{"Q": "1"}]


def test_official_ids_have_no_directory_and_no_suffix(tmp_path: Path) -> None:
    """Official packages know ids by the name of the recording alone."""
    data = read_dataset(make_folders(tmp_path))
    scored = [(each, 1.0) for each in data.utterances]
    assert written(scored, "asvspoof2021") == "a 1.0\nb 1.0\n"
    assert written(scored, "csv").splitlines()[1].startswith("bonafide/a.wav,")


@pytest.mark.parametrize(
    ("names", "format_", "match"),
    [
        (["a/1.wav", "b/1.wav"], "asvspoof5", "1: 2 scores have this id without its directory; write csv"),
        (["1.wav", "1.wav"], "csv", r"1\.wav: 2 scores have this id$"),
        (["two words"], "asvspoof2021", "two words: the id 'two words' is not one word, and spaces separate columns"),
        (["dir/"], "asvspoof2021", "dir/: the id '' is not one word"),
        (["1"], "kaldi", "unknown format 'kaldi' for scores; formats: asvspoof2019, asvspoof2021, asvspoof5, csv"),
    ],
    ids=["same name", "same id", "spaces", "no name", "format"],
)
def test_what_cannot_be_written(names: list[str], format_: str, match: str) -> None:
    """An id that an official package would not understand is refused, and nothing is written."""
    stream = io.StringIO()
    with pytest.raises(DataError, match=match):
        write_scores(stream, [(utterance(name), 1.0) for name in names], format_)
    assert not stream.getvalue().removeprefix("filename\tcm-score\n")


def test_an_attack_of_two_words_cannot_be_written() -> None:
    """An attack with a space would be two columns of 2019's format; no other has attacks in columns of words."""
    scored = [(utterance("a", system="Baidu TTS"), 1.0)]
    with pytest.raises(DataError, match="a: the attack 'Baidu TTS' is not one word"):
        written(scored, "asvspoof2019")
    assert written(scored, "asvspoof2021") == "a 1.0\n"


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_not_written(score: float, format_: str) -> None:
    """Official packages stop at them; better here."""
    with pytest.raises(DataError, match=r"a: the score is (nan|inf), which no format can hold"):
        written([(utterance("a"), score)], format_)


# --- real files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "n_bonafide", "systems", "facts"),
    [
        ("asv19la_eval_aasist_l", 71_237, 7_355, [f"A{n:02}" for n in range(7, 20)], []),
        ("asv19la_eval_rawgat_st_mul", 71_237, 7_355, [f"A{n:02}" for n in range(7, 20)], []),
        ("asv19la_dev_aasist_l_pr9", 24_844, 2_548, [f"A{n:02}" for n in range(1, 7)], []),
        ("asv5_eval50k_wavlm_erm_prob", 50_000, 10_183, [f"A{n}" for n in range(17, 33)], ["codec", "codec_q"]),
    ],
)
def test_real_scores(name: str, n: int, n_bonafide: int, systems: list[str], facts: list[str], shared: Path) -> None:
    """Published scores are read as they are, with the published numbers of trials and attacks."""
    found = read_scores(shared / "metrics" / "real" / f"{name}.csv.gz")
    utterances = utterances_of(found)
    assert (found.format, len(found), sum(u.is_bonafide for u in utterances)) == ("csv", n, n_bonafide)
    assert sorted({u.system for u in utterances if not u.is_bonafide}) == systems
    assert list(found.facts) == facts


def test_real_scores_match_the_real_protocol(shared: Path) -> None:
    """The scores of AASIST-L belong to the trials of the evaluation protocol, in the same order."""
    found = read_scores(shared / "metrics" / "real" / "asv19la_eval_aasist_l.csv.gz")
    data = read_dataset(shared / "asvspoof").select("eval")
    matched = match(found, data)
    assert matched.utterances == data.utterances
    assert np.array_equal(matched.scores, found.scores)
    assert [u.system for u in matched.utterances] == list(found.systems or ())
