"""ASVspoof 2019, 2021 and 5: directories as they are unpacked, and protocols and keys by themselves."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest
from layouts import (
    DEV_5,
    DF_KEYS,
    EVAL_5,
    LA_KEYS,
    LA_PROTOCOL,
    PA_KEYS,
    PA_PROTOCOL,
    TRAIN_5,
    asvspoof,
    make_asvspoof5,
    touch,
    write,
)

from deepfake_audio.datasets import Dataset, Label, Utterance, read_dataset
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS_2021 = {"LA": LA_KEYS, "DF": DF_KEYS, "PA": PA_KEYS}


def only(data: Dataset, name: str) -> Utterance:
    """Return the one utterance of that id."""
    (found,) = [u for u in data.utterances if u.utterance_id == name]
    return found


def place(utterance: Utterance, root: Path) -> str:
    """Return where an utterance's audio lies below a directory."""
    return utterance.path.relative_to(root).as_posix()


# --- ASVspoof 2019 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "protocol", "spoof"),
    [
        ("LA", LA_PROTOCOL, ("LA_T_1271820", "LA", "LA_0080", "A01")),
        ("PA", PA_PROTOCOL, ("PA_T_0000002", "PA", "PA_0080", "BA")),
    ],
    ids=["LA", "PA"],
)
@pytest.mark.parametrize("above", ["", "{part}"], ids=["at the part", "above it"])
def test_asvspoof2019(part: str, protocol: str, spoof: tuple[str, ...], above: str, tmp_path: Path) -> None:
    """Lines are speaker, utterance, environment, system, key; the root is LA (PA) or what LA was unpacked into."""
    directory = tmp_path / above.format(part=part)
    asvspoof(directory, part, train=protocol)
    data = read_dataset(tmp_path)
    name, source, speaker, system = spoof
    path = directory / f"ASVspoof2019_{part}_train" / "flac" / f"{name}.flac"
    assert data.utterances[1] == Utterance(path, Label.SPOOF, name, "train", source, speaker, system, speaker)
    assert data.utterances[0].label is Label.BONAFIDE
    assert data.utterances[0].system == ""


def test_asvspoof2019_partitions(tmp_path: Path) -> None:
    """Each protocol is a partition with its own audio directory; a protocol that is not there is left out."""
    train, dev = LA_PROTOCOL, "\n" + LA_PROTOCOL.replace("_T_", "_D_").replace("\n", "\r\n")
    data = read_dataset(asvspoof(tmp_path, "LA", train=train, dev=dev))
    assert data.partitions == ("train", "dev")
    folder = tmp_path / "ASVspoof2019_LA_dev" / "flac"
    names = ["LA_D_1138215.flac", "LA_D_1271820.flac"]
    assert [u.path for u in data.select("dev").utterances] == [folder / name for name in names]


@pytest.mark.parametrize(
    ("protocol", "match"),
    [
        ("LA_0079 LA_T_1 - - bonafide\nLA_0079 LA_T_2 - bonafide\n", r"trn\.txt, line 2: expected 5 col.*, found 4"),
        ("LA_0079 LA_T_1 - - bonafide trim\n", r"trn\.txt, line 1: expected 5 columns .*, found 6"),
        ("LA_0079 LA_T_1 - A01 bonafid\n", r"trn\.txt, line 1: expected a label .*, found 'bonafid'"),
        ("LA_0079 LA_T_1 - - bonafide\n" * 2, "1 files are listed more than once, first .*LA_T_1.flac"),
        ("", "no labelled audio files were found"),
    ],
    ids=["four columns", "six columns", "unknown key", "listed twice", "empty"],
)
def test_asvspoof2019_faults(protocol: str, match: str, tmp_path: Path) -> None:
    """A line that does not fit is named with its file and number."""
    with pytest.raises(DataError, match=match):
        read_dataset(asvspoof(tmp_path, "LA", train=protocol))


def test_asvspoof2019_protocol_that_is_not_text(tmp_path: Path) -> None:
    """A protocol that was not unpacked is refused like a manifest that is no text."""
    protocol = asvspoof(tmp_path, "LA") / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    protocol.write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(DataError, match=r"trn\.txt: cannot be read as text in UTF-8"):
        read_dataset(tmp_path)


def test_asvspoof2019_with_both_parts(tmp_path: Path) -> None:
    """LA and PA below one root are two data sets; the message names the two directories to choose from."""
    asvspoof(tmp_path / "LA", "LA", train=LA_PROTOCOL)
    asvspoof(tmp_path / "PA", "PA", train=PA_PROTOCOL)
    with pytest.raises(DataError, match=re.escape(f"give {tmp_path / 'LA'} or {tmp_path / 'PA'}")):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path / "PA").n_spoof == 1


def test_asvspoof2019_environment(tmp_path: Path) -> None:
    """PA's environment is a fact; LA, which writes a dash in its place, has none."""
    write(tmp_path / "LA.txt", LA_PROTOCOL)
    write(tmp_path / "PA.txt", PA_PROTOCOL)
    pa = read_dataset(tmp_path / "PA.txt")
    assert [u.fact("environment") for u in pa.utterances] == ["aaa", "abc"]
    assert pa.facts == ("system", "source", "speaker", "partition", "group", "environment")
    assert read_dataset(tmp_path / "LA.txt").facts == ("system", "source", "speaker", "partition", "group")


@pytest.mark.parametrize("attack", ["-", "bonafide", "A00"])
def test_asvspoof2019_attack_of_bonafide(attack: str, tmp_path: Path) -> None:
    """Whatever stands in the place of the attack, bona fide speech has no system."""
    path = write(tmp_path / "p.txt", f"LA_0079 LA_E_1 - {attack} bonafide\nLA_0079 LA_E_2 - A07 spoof\n")
    assert [u.system for u in read_dataset(path).utterances] == ["", "A07"]


@pytest.mark.parametrize("name", ["ASVspoof2019.LA.cm.train.trn.txt", "renamed.txt"])
def test_asvspoof2019_protocol_alone(name: str, tmp_path: Path) -> None:
    """A protocol by itself is enough; its audio is where the whole data set would have it."""
    path = write(tmp_path / "ASVspoof2019_LA_cm_protocols" / name, LA_PROTOCOL)
    data = read_dataset(path)
    assert (data.layout, data.partitions) == ("asvspoof2019", ("train",))
    spoof = only(data, "LA_T_1271820")
    assert (place(spoof, tmp_path), spoof.source) == ("ASVspoof2019_LA_train/flac/LA_T_1271820.flac", "LA")


def test_asvspoof2019_protocol_of_other_ids(tmp_path: Path) -> None:
    """A protocol in the same columns that neither its name nor its ids place is of no part."""
    path = write(tmp_path / "protocols" / "ASVspoof2019.mine.txt", "ann take1 - - bonafide\nbob take2 - vits spoof\n")
    data = read_dataset(path)
    assert (data.layout, data.partitions, data.utterances[1].system) == ("asvspoof2019", (), "vits")


def test_asvspoof2019_protocol_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory above a protocol is found where its path does not name it."""
    path = write(tmp_path / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt", LA_PROTOCOL)
    monkeypatch.chdir(path.parent)
    data = read_dataset("ASVspoof2019.LA.cm.train.trn.txt")
    assert data.utterances[0].path == tmp_path.resolve() / "ASVspoof2019_LA_train" / "flac" / "LA_T_1138215.flac"


@pytest.mark.parametrize("row", [1, 2], ids=["first", "last"])
def test_asvspoof2019_contradiction(row: int, tmp_path: Path) -> None:
    """An utterance that is called both is named with both lines, before one that is only repeated."""
    lines = ["S LA_T_1 - - bonafide", "S LA_T_2 - A01 spoof", "S LA_T_1 - - bonafide", f"S LA_T_{row} - - bonafide"]
    path = write(tmp_path / "p.txt", "\n".join(lines))
    expected = {
        1: "line 3: 1 files are listed more than once, first .*LA_T_1.flac, in line 1 as bonafide and here as bonafide",
        2: "line 4: 2 files are listed more than once, first .*LA_T_2.flac, in line 2 as spoof and here as bonafide",
    }
    with pytest.raises(DataError, match=f"p.txt, {expected[row]}"):
        read_dataset(path)


def test_asvspoof2019_without_any_protocol(tmp_path: Path) -> None:
    """A directory for protocols without one is told the names that are looked for."""
    (tmp_path / "ASVspoof2019_LA_cm_protocols").mkdir()
    with pytest.raises(DataError, match=r"expected ASVspoof2019\.LA\.cm\.train\.trn\.txt, .* here, none is there"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + LA_PROTOCOL, id="byte order mark"),
        pytest.param(LA_PROTOCOL.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(LA_PROTOCOL.replace("\n", "\r"), id="CR"),
        pytest.param(LA_PROTOCOL.replace("\n", "\r\n", 1), id="mixed endings"),
        pytest.param(LA_PROTOCOL + "\n\r\n  \n\n", id="blank lines at the end"),
        pytest.param("\n\n" + LA_PROTOCOL, id="blank lines at the beginning"),
        pytest.param(LA_PROTOCOL.rstrip(), id="no newline at the end"),
        pytest.param(LA_PROTOCOL.replace(" ", "\t"), id="tabs"),
        pytest.param(LA_PROTOCOL.replace(" ", "  ").replace("\n", " \n"), id="more spaces"),
        pytest.param(LA_PROTOCOL.replace("bonafide", "genuine").replace("spoof", "FAKE"), id="other words"),
    ],
)
def test_protocol_dialects(text: str, tmp_path: Path) -> None:
    """However a protocol was saved, it says the same."""
    path = write(tmp_path / "ASVspoof2019_LA_cm_protocols" / "p.txt", text)
    data = read_dataset(path)
    assert [(u.utterance_id, u.is_bonafide) for u in data.utterances] == [
        ("LA_T_1138215", True),
        ("LA_T_1271820", False),
    ]


def test_protocol_with_a_damaged_character(tmp_path: Path) -> None:
    """What is no UTF-8 is named with its line, however far into the file."""
    path = tmp_path / "ASVspoof2019.LA.cm.train.trn.txt"
    path.write_bytes(b"LA_0079 LA_T_1 - - bonafide\n" * 1000 + b"caf\xe9 LA_T_2 - - bonafide\n")
    with pytest.raises(DataError, match=r"trn\.txt: cannot be read as text in UTF-8 \(line 1001: invalid contin"):
        read_dataset(path)


# --- ASVspoof 2021 ---------------------------------------------------------------------------------------------


def keys_2021(root: Path, *tracks: str) -> Path:
    """Write keys in the directories of the full package."""
    for track in tracks:
        write(root / "keys" / track / "CM" / "trial_metadata.txt", KEYS_2021[track])
    return root


def test_asvspoof2021_la(tmp_path: Path) -> None:
    """LA has eight columns; the attack of bona fide speech is written `bonafide`."""
    data = read_dataset(keys_2021(tmp_path, "LA"))
    first, second, third = data.utterances
    path = tmp_path / "ASVspoof2021_LA_eval" / "flac" / "LA_E_9332881.flac"
    assert data.layout == "asvspoof2021"
    assert first == Utterance(path, Label.SPOOF, "LA_E_9332881", "eval", "LA", "LA_0009", "A07", "LA_0009")
    assert first.facts == {"codec": "alaw", "transmission": "ita_tx", "trim": "notrim", "subset": "eval"}
    assert (second.label, second.system) == (Label.BONAFIDE, "")
    assert third.facts == {"codec": "gsm", "transmission": "sin_tx", "trim": "trim", "subset": "hidden"}


def test_asvspoof2021_df(tmp_path: Path) -> None:
    """DF has thirteen columns; its column of sources is the source, and dashes say nothing."""
    data = read_dataset(keys_2021(tmp_path, "DF"))
    first, second, third = data.utterances
    path = tmp_path / "ASVspoof2021_DF_eval" / "flac" / "DF_E_2000011.flac"
    assert first == Utterance(path, Label.SPOOF, "DF_E_2000011", "eval", "asvspoof", "LA_0023", "A14", "LA_0023")
    assert first.facts == {
        "codec": "nocodec",
        "trim": "notrim",
        "subset": "progress",
        "vocoder": "traditional_vocoder",
    }
    assert (second.source, second.system) == ("vcc2020", "")
    assert {name: third.fact(name) for name in ("task", "team", "gender_pair", "language")} == {
        "task": "Task2",
        "team": "team20",
        "gender_pair": "FF",
        "language": "G",
    }


def test_asvspoof2021_pa(tmp_path: Path) -> None:
    """PA has twelve columns; it names no attack, only where and how was recorded and replayed."""
    data = read_dataset(keys_2021(tmp_path, "PA"))
    spoof = only(data, "PA_E_1000001")
    path = tmp_path / "ASVspoof2021_PA_eval" / "flac" / "PA_E_1000001.flac"
    assert spoof == Utterance(path, Label.SPOOF, "PA_E_1000001", "eval", "PA", "PA_0010", "", "PA_0010")
    assert spoof.facts == {
        "asv_room": "R3",
        "asv_mic": "M3",
        "dis_to_asv": "d4",
        "att_room": "r1",
        "att_mic": "m1",
        "att_d": "s4",
        "att_to_spk": "c4",
        "trim": "notrim",
        "subset": "eval",
    }
    assert "att_room" not in only(data, "PA_E_1000002").facts


@pytest.mark.parametrize(
    ("key", "root"),
    [
        pytest.param("keys/LA/CM/trial_metadata.txt", ".", id="keys below the root"),
        pytest.param("keys/LA/CM/trial_metadata.txt", "keys", id="the keys"),
        pytest.param("keys/LA/CM/trial_metadata.txt", "keys/LA", id="the keys of a track"),
        pytest.param("keys/LA/CM/trial_metadata.txt", "keys/LA/CM", id="the directory of the key"),
        pytest.param("keys/LA/CM/trial_metadata.txt", "keys/LA/CM/trial_metadata.txt", id="the key"),
        pytest.param("keys/LA/CM/trial_metadata.txt", "ASVspoof2021_LA_eval", id="keys beside the audio"),
        pytest.param("keys/CM/trial_metadata.txt", ".", id="stage 1"),
        pytest.param("keys/CM/trial_metadata.txt", "keys", id="stage 1, the keys"),
        pytest.param("keys/CM/trial_metadata.txt", "keys/CM/trial_metadata.txt", id="stage 1, the key"),
        pytest.param("LA-keys-full/keys/LA/CM/trial_metadata.txt", ".", id="archive unpacked into its own folder"),
        pytest.param("ASVspoof2021_LA_eval/keys/LA/CM/trial_metadata.txt", ".", id="keys in the audio's directory"),
        pytest.param("ASVspoof2021_LA_eval/keys/LA/CM/trial_metadata.txt", "ASVspoof2021_LA_eval", id="and as root"),
        pytest.param("ASVspoof2021_LA_eval/trial_metadata.txt", "ASVspoof2021_LA_eval", id="key beside flac"),
    ],
)
def test_asvspoof2021_places(key: str, root: str, tmp_path: Path) -> None:
    """Keys are found at, below and next to a root, and the audio from the keys."""
    write(tmp_path / key, LA_KEYS)
    touch(
        tmp_path, "ASVspoof2021_LA_eval/flac/LA_E_9332881.flac", "ASVspoof2021_LA_eval/ASVspoof2021.LA.cm.eval.trl.txt"
    )
    data = read_dataset(tmp_path / root)
    assert (data.layout, len(data.utterances)) == ("asvspoof2021", 3)
    assert data.utterances[0].path.is_file()


def test_asvspoof2021_key_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audio is found from a key whose path names no directory."""
    touch(keys_2021(tmp_path, "LA"), "ASVspoof2021_LA_eval/flac/LA_E_9332881.flac")
    monkeypatch.chdir(tmp_path / "keys" / "LA" / "CM")
    assert read_dataset("trial_metadata.txt").utterances[0].path.is_file()


def test_asvspoof2021_key_alone(tmp_path: Path) -> None:
    """A key needs no name and no audio: it may serve to evaluate scores."""
    data = read_dataset(write(tmp_path / "key.txt", DF_KEYS))
    assert (data.layout, data.n_bonafide, data.n_spoof) == ("asvspoof2021", 1, 2)
    assert place(data.utterances[0], tmp_path) == "ASVspoof2021_DF_eval/flac/DF_E_2000011.flac"


def test_asvspoof2021_with_several_tracks(tmp_path: Path) -> None:
    """Keys of several tracks are several data sets; the directory of the audio says which."""
    touch(keys_2021(tmp_path, "LA", "PA", "DF"), "ASVspoof2021_PA_eval/flac/PA_E_1000001.flac")
    files = [tmp_path / "keys" / track / "CM" / "trial_metadata.txt" for track in ("DF", "LA", "PA")]
    expected = f"holds keys of DF, LA and PA; give one of them: {' or '.join(map(str, files))}"
    with pytest.raises(DataError, match=re.escape(expected)):
        read_dataset(tmp_path)
    assert [read_dataset(path).utterances[0].source for path in files] == ["asvspoof", "LA", "PA"]
    assert read_dataset(tmp_path / "ASVspoof2021_PA_eval").utterances[0].source == "PA"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("LA_E_9332881\nLA_E_9332882\n", r"line 1: expected 8 columns \(LA\), 12 \(PA\) or 13 \(DF\), found 1; a list"),
        ("", r"line 1: expected 8 columns \(LA\), 12 \(PA\) or 13 \(DF\), found 0"),
        ("\n\nversion https://git-lfs\n", "line 3: expected 8 columns .* found 2"),
        (LA_KEYS + "LA_0009 LA_E_1 alaw\n", r"line 4: expected 8 columns \(speaker, utterance, codec, .* found 3"),
        (LA_KEYS.replace("notrim progress", "progress"), "line 2: expected 8 columns .* found 7"),
        (LA_KEYS + LA_KEYS.replace("spoof", "bonafide"), "line 4: 3 files .*, in line 1 as spoof and here as bonafide"),
        (LA_KEYS.replace(" spoof", " fraud"), "line 1: expected a label .* found 'fraud'"),
    ],
    ids=["list of trials", "empty", "pointer", "short line", "a column less", "contradiction", "unknown label"],
)
def test_asvspoof2021_faults(text: str, match: str, tmp_path: Path) -> None:
    """A key that does not fit is named with its file and line."""
    path = write(tmp_path / "keys" / "LA" / "CM" / "trial_metadata.txt", text)
    for root in (path, tmp_path):
        with pytest.raises(DataError, match=f"trial_metadata.txt, {match}"):
            read_dataset(root)


def test_asvspoof2021_without_keys(tmp_path: Path) -> None:
    """The audio by itself has no labels; the message says where they are looked for."""
    audio = touch(tmp_path, "ASVspoof2021_LA_eval/flac/LA_E_9332881.flac") / "ASVspoof2021_LA_eval"
    ids = write(audio / "ASVspoof2021.LA.cm.eval.trl.txt", "LA_E_9332881\n")
    for root in (tmp_path, audio):
        with pytest.raises(DataError, match=r"expected keys/LA/CM/trial_metadata\.txt .* here or next to it"):
            read_dataset(root)
    with pytest.raises(DataError, match=r"line 1: .* found 1; a list of trials without keys does not do"):
        read_dataset(ids)
    keys_2021(tmp_path, "DF")
    with pytest.raises(DataError, match=r"LA_eval: holds LA, but the only keys are .*keys.DF.CM.trial_metadata.txt"):
        read_dataset(audio)


def test_subsets(tmp_path: Path) -> None:
    """A subset is chosen by its name, several with commas, or all; a wrong name is answered with the right ones."""
    data = read_dataset(keys_2021(tmp_path, "LA"))
    assert (data.subsets, data.partitions) == (("eval", "progress", "hidden"), ("eval",))
    assert [u.utterance_id for u in data.select_subset("eval").utterances] == ["LA_E_9332881"]
    assert data.select_subset("hidden_track") == data.select_subset("HIDDEN") == data.select_subset("hidden")
    assert len(data.select_subset("progress, eval").utterances) == 2
    assert data.select_subset("all") is data
    with pytest.raises(DataError, match="has no subset 'dev'; subsets: eval, progress, hidden"):
        data.select_subset("eval,dev")


def test_subset_of_the_first_package(tmp_path: Path) -> None:
    """The first package's `hidden_track` is the second's `hidden`."""
    data = read_dataset(write(tmp_path / "trial_metadata.txt", LA_KEYS.replace("hidden", "hidden_track")))
    assert data.subsets == ("eval", "progress", "hidden")
    assert [u.utterance_id for u in data.select_subset("hidden_track").utterances] == ["LA_E_1000002"]


def test_subset_where_there_are_none(tmp_path: Path) -> None:
    """A data set without subsets says so."""
    data = read_dataset(asvspoof(tmp_path, "LA", train=LA_PROTOCOL))
    assert data.subsets == ()
    with pytest.raises(DataError, match="has no subset 'eval'; subsets: none"):
        data.select_subset("eval")


def test_a_part_knows_its_whole(tmp_path: Path) -> None:
    """What is selected keeps what was read, however often it is selected from."""
    data = read_dataset(keys_2021(tmp_path, "LA"))
    assert data.whole is None
    assert data.select("eval").select_subset("eval").whole is data


# --- ASVspoof 5 ------------------------------------------------------------------------------------------------


def test_asvspoof5(tmp_path: Path) -> None:
    """Ten columns, the first line included; each partition has its own directory of audio."""
    write(tmp_path / "ASVspoof5.train.tsv", TRAIN_5)
    data = read_dataset(make_asvspoof5(tmp_path))
    train, dev, evaluation = data.utterances
    assert (data.layout, data.partitions) == ("asvspoof5", ("train", "dev", "eval"))
    path = tmp_path / "flac_T" / "T_0000000000.flac"
    assert train == Utterance(path, Label.SPOOF, "T_0000000000", "train", "ASVspoof5", "T_4850", "A05", "T_4850")
    assert train.facts == {"gender": "F", "codec": "none", "attack_tag": "AC3"}
    assert (place(dev, tmp_path), dev.label, dev.system) == ("flac_D/D_0000000190.flac", Label.BONAFIDE, "")
    assert place(evaluation, tmp_path) == "flac_E_eval/E_0009538969.flac"
    assert evaluation.facts == {
        "gender": "M",
        "codec": "C05",
        "codec_quality": "2",
        "codec_seed": "E_0009486171",
        "attack_tag": "AC1",
    }


def test_asvspoof5_without_a_codec(tmp_path: Path) -> None:
    """Speech that went through no codec says so, whichever of the two words a file has."""
    text = EVAL_5 + EVAL_5.replace("C05 2 E_0009486171", "NONE - -").replace("9538969", "9538970") + DEV_5
    data = read_dataset(write(tmp_path / "ASVspoof5.eval.track_1.tsv", text))
    assert [u.fact("codec") for u in data.utterances] == ["C05", "none", "none"]


@pytest.mark.parametrize(
    ("protocol", "root"),
    [
        ("ASVspoof5.eval.track_1.tsv", "."),
        ("ASVspoof5.eval.track_1.tsv", "ASVspoof5.eval.track_1.tsv"),
        ("ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv", "."),
        ("ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv", "ASVspoof5_protocols"),
        ("ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv", "ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv"),
        ("ASVspoof5_protocols/renamed.txt", "ASVspoof5_protocols/renamed.txt"),
    ],
)
def test_asvspoof5_places(protocol: str, root: str, tmp_path: Path) -> None:
    """Protocols may lie beside the audio or in a directory of their own, and one by itself is enough."""
    write(tmp_path / protocol, EVAL_5)
    touch(tmp_path, "flac_E_eval/E_0009538969.flac")
    data = read_dataset(tmp_path / root)
    assert (data.layout, [u.path.is_file() for u in data.utterances]) == ("asvspoof5", [True])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "filename\tcm-label\nE_000001\tbonafide\nE_000002\tspoof\n", ["", "", "bonafide", "spoof"], id="track 1"
        ),
        pytest.param(
            "spk\tfilename\tcm-label\tasv-label\nE_9\tE_000001\tbonafide\ttarget\nE_8\tE_000002\tspoof\tspoof\n",
            ["E_9", "E_8", "target", "spoof"],
            id="track 2",
        ),
    ],
)
def test_asvspoof5_key(text: str, expected: list[str], tmp_path: Path) -> None:
    """Keys for the official scorer have a header and tabs."""
    data = read_dataset(write(tmp_path / "key.tsv", text))
    first, second = data.utterances
    assert (data.layout, first.label, second.label) == ("asvspoof5", Label.BONAFIDE, Label.SPOOF)
    assert place(second, tmp_path) == "flac_E_eval/E_000002.flac"
    assert (second.partition, second.system) == ("eval", "")
    labels = [u.fact("asv-label") or str(u.label) for u in data.utterances]
    assert [first.speaker, second.speaker, *labels] == expected


def test_asvspoof5_full_key(tmp_path: Path) -> None:
    """The full key of the official scorer says speaker, attack and codec under names of its own."""
    text = (
        "tar_spk_anon trial_anon asv-label cm-label attack_anon codec track_2_tag\n"
        "E_1 E_01 spoof spoof A17 C01 -\nE_2 X_02 target bonafide bonafide - dummy\n"
    )
    first, second = read_dataset(write(tmp_path / "key.tsv", text)).utterances
    assert (first.speaker, first.system, first.fact("codec")) == ("E_1", "A17", "C01")
    assert (second.system, second.fact("codec"), second.partition) == ("", "none", "")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (EVAL_5 + EVAL_5.replace(" -\n", "\n"), "line 2: expected 10 columns .speaker, utterance, gender, .* found 9"),
        ("E_1607 E_0009538969 M A26 spoof\n", "line 1: expected 10 columns .* found 5"),
        ("filename\tcm-label\nE_01\n", "line 2: expected 2 columns .utterance, key., found 1"),
        ("file\tcm-label\nE_01\tspoof\n", "line 1: expected a column filename beside cm-label, found file, cm-label"),
        (EVAL_5 * 2, "line 2: 1 files are listed more than once"),
        ("\n", "no labelled audio files were found"),
    ],
    ids=["a column less", "track 2", "key with a short line", "key without ids", "listed twice", "empty"],
)
def test_asvspoof5_faults(text: str, match: str, tmp_path: Path) -> None:
    """A protocol that does not fit is named with its file and line."""
    with pytest.raises(DataError, match=match):
        read_dataset(write(tmp_path / "ASVspoof5.eval.track_1.tsv", text))


@pytest.mark.parametrize(
    ("make", "layout", "match"),
    [
        pytest.param(lambda root: root, "asvspoof2021", "expected keys/LA/CM/trial_metadata.txt", id="2021"),
        pytest.param(lambda root: root, "asvspoof5", "expected ASVspoof5.train.tsv or ASVspoof5.eval", id="5"),
        pytest.param(
            lambda root: write(root / "m.csv", "path,label\n"), "asvspoof2021", "expected 8 columns", id="csv, 2021"
        ),
        pytest.param(lambda root: write(root / "m.csv", "path,label\n"), "asvspoof5", "expected 10 col", id="csv, 5"),
    ],
)
def test_what_is_not_asvspoof(make: Callable[[Path], Path], layout: str, match: str, tmp_path: Path) -> None:
    """A layout that was asked for and is not there is refused with what was expected."""
    with pytest.raises(DataError, match=match):
        read_dataset(make(tmp_path), layout)


@pytest.mark.parametrize("text", [LA_PROTOCOL, LA_KEYS, DF_KEYS, PA_KEYS, EVAL_5], ids=["2019", "LA", "DF", "PA", "5"])
def test_damage_is_never_a_traceback(text: str, tmp_path: Path) -> None:
    """A protocol in which anything was changed is read, or refused with one line that names it."""
    rng = random.Random(text)  # noqa: S311 - nothing secret
    path = tmp_path / "p.txt"
    layout = read_dataset(write(path, text)).layout
    n_refused = 0
    for _ in range(100):
        content = bytearray(text.encode())
        at = rng.randrange(len(content) + 1)
        content[at : at + rng.randint(0, 9)] = rng.choice([b"", b"\n", b"\r", b" ", b"\0", b"\xff", b"x", b"-", b"/"])
        path.write_bytes(content)
        try:
            assert read_dataset(path, layout).utterances
        except DataError as error:
            n_refused += 1
            assert str(path) in str(error)  # noqa: PT017 - both outcomes are right
    assert 0 < n_refused < 100


# --- real data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["asvspoof", "asvspoof/LA"])
def test_real_asvspoof2019(root: str, shared: Path) -> None:
    """The real protocols have the published numbers of lines, and their audio lies where the layout says."""
    data = read_dataset(shared / root)
    assert data.layout == "asvspoof2019"
    sizes = {name: (data.select(name).n_bonafide, data.select(name).n_spoof) for name in data.partitions}
    assert sizes == {"train": (2_580, 22_800), "dev": (2_548, 22_296), "eval": (7_355, 63_882)}
    assert {u.system for u in data.select("eval").utterances} == {"", *(f"A{n:02}" for n in range(7, 20))}
    there = [u.path for u in data.utterances if u.path.is_file()]
    assert sorted(there) == sorted((shared / "asvspoof").rglob("*.flac"))
    assert there


def test_real_protocol_alone(shared: Path) -> None:
    """One real protocol by itself finds the audio that is there."""
    data = read_dataset(shared / "asvspoof/LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.eval.trl.txt")
    assert (data.n_bonafide, data.n_spoof, data.partitions) == (7_355, 63_882, ("eval",))
    assert sum(u.path.is_file() for u in data.utterances) == 10
