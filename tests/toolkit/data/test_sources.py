"""A corpus in every form that `auralign prepare` reads gives the same utterances; what is broken is named."""

import gzip
import json
import math

import numpy as np
import pytest
import soundfile

from auralign.data.conditions import Condition
from auralign.data.manifest import Note
from auralign.data.sources import Columns, guess_form, hub_name, read_source
from auralign.records import RecordError, Utterance

ROWS = [
    {"id": "u1", "audio": "a.wav", "text": 'three "five', "speaker": "s1", "german": "drei fünf"},
    {"id": "u2", "audio": "b.wav", "text": "nine, one", "speaker": "s2", "german": "neun eins"},
]
LABELLED = Columns(labels={"german": "german"})


@pytest.fixture
def clips(tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(8_000, 0.1), 16_000)
    return tmp_path


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def expected(**changes):
    return [
        Utterance(
            id=row["id"],
            audio=row["audio"],
            seconds=math.inf,
            text=row["text"],
            speaker=row["speaker"],
            labels={"german": row["german"]},
        )
        for row in ROWS
    ]


def write_form(folder, form):
    """The rows in one form; the path of what was written."""
    if form == "jsonl":
        return write(folder / "t.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    if form == "jsonl.gz":
        path = folder / "t.jsonl.gz"
        path.write_bytes(gzip.compress(write_form(folder, "jsonl").read_bytes()))
        return path
    if form == "csv":
        lines = ['u1,a.wav,"three ""five",s1,drei fünf', 'u2,b.wav,"nine, one",s2,neun eins']
        return write(folder / "t.csv", "\ufeffid,audio,text,speaker,german\r\n" + "\r\n".join(lines) + "\r\n")
    if form == "tsv":
        lines = ["\t".join(ROWS[0]), *("\t".join(row.values()) for row in ROWS)]
        return write(folder / "t.tsv", "\n".join(lines) + "\n")
    import datasets

    data = datasets.Dataset.from_list(ROWS)
    if form == "parquet":
        data.to_parquet(folder / "t.parquet")
        return folder / "t.parquet"
    data.save_to_disk(folder / "saved")
    return folder / "saved"


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "csv", "tsv", "parquet", "datasets"])
def test_every_form_gives_the_same_utterances(tmp_path, form):
    assert list(read_source(write_form(tmp_path, form), columns=LABELLED)) == expected()


def test_columns_may_have_any_name(tmp_path):
    source = write(tmp_path / "t.csv", "clip,said,who\nx/y.mp3,hello,7\n")
    columns = Columns({"audio": "clip", "text": "said", "speaker": "who"})
    (utterance,) = read_source(source, columns=columns)
    assert (utterance.id, utterance.audio, utterance.text, utterance.speaker) == (
        "x/y",
        "x/y.mp3",
        "hello",
        "7",
    )


def test_nested_columns_are_reached_by_dots(tmp_path):
    source = write(tmp_path / "t.jsonl", '{"audio": "a.wav", "custom": {"texts": ["One.", "ONE"]}}\n')
    (utterance,) = read_source(source, columns=Columns({"text": "custom.texts.1"}))
    assert utterance.text == "ONE"


def test_nemos_names_are_known(tmp_path):
    source = write(
        tmp_path / "t.json", '{"audio_filepath": "a.wav", "duration": 1.5, "offset": 0.25, "text": "one"}\n'
    )
    (utterance,) = read_source(source)
    assert (utterance.id, utterance.start, utterance.seconds) == ("a", 0.25, 1.5)


def test_rows_are_chosen_by_a_value(tmp_path):
    source = write(tmp_path / "t.csv", "path,sentence,split\na.wav,one,train\nb.wav,two,test\n")
    assert [u.text for u in read_source(source, columns=Columns(where={"split": "test"}))] == ["two"]


def kaldi(folder, **files):
    content = {
        "wav.scp": "r1 a.wav\nr2 b c.wav\n",
        "text": "u1 THREE  FIVE\nu2 NINE\n",
        "segments": "u1 r1 0.10 0.40\nu2 r2 0.00 0.50\n",
        "utt2spk": "u1 s1\nu2 s2\n",
    }
    for name, text in (content | {name.replace("_", "."): text for name, text in files.items()}).items():
        if text is not None:
            write(folder / name, text)
    return folder


def test_a_kaldi_folder_with_segments(tmp_path):
    first, second = read_source(kaldi(tmp_path))
    assert (first.id, first.audio, first.text, first.speaker) == ("u1", "a.wav", "THREE  FIVE", "s1")
    assert (first.start, first.seconds) == (0.1, pytest.approx(0.3))
    assert second.audio == "b c.wav"


def test_a_kaldi_folder_without_segments(tmp_path):
    folder = kaldi(tmp_path, wav_scp="u1 a.wav\nu2 b.wav\n", segments=None, utt2spk=None)
    assert [(u.id, u.audio, u.seconds) for u in read_source(folder)] == [
        ("u1", "a.wav", math.inf),
        ("u2", "b.wav", math.inf),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav_scp": "r1 sph2pipe a.sph |\nr2 b.wav\n"}, r"wav.scp:1: the audio of r1 comes from a command"),
        ({"text": "u1 A\n", "segments": "u1 r1 0.1\n"}, r"segments:1: expected: u1 RECORDING START END"),
        (
            {"text": "u1 A\n", "segments": "u1 r1 a b\n"},
            r"segments:1: start and end must be seconds; found 'r1 a b'",
        ),
        ({"text": "u1 A\n", "segments": "u1 r9 0 1\n"}, r"segments:1: expected"),
        ({"segments": "u1 r1 0 1\n"}, r"text:2: u2 has text but no audio"),
        ({"text": "u1 A\nu1 B\n"}, r"text:2: the id 'u1' is used twice"),
        ({"text": None}, r"no .*text; a Kaldi data folder needs it"),
    ],
)
def test_a_broken_kaldi_folder_is_named(tmp_path, files, message):
    with pytest.raises((RecordError, FileNotFoundError), match=message):
        list(read_source(kaldi(tmp_path, **files)))


def test_a_lhotse_manifest_of_cuts(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav")
    supervisions = [
        lhotse.SupervisionSegment("s1", recording.id, 0.1, 0.2, text="three", speaker="k", language="en"),
        lhotse.SupervisionSegment(
            "s2", recording.id, 0.3, 0.1, text="five", custom={"texts": ["Five.", "x"]}
        ),
    ]
    cut = lhotse.MonoCut("c", 0.0, 0.5, 0, supervisions=supervisions, recording=recording)
    lhotse.CutSet.from_cuts([cut]).to_file(clips / "cuts.jsonl.gz")
    assert guess_form(clips / "cuts.jsonl.gz") == "lhotse"
    first, second = read_source(clips / "cuts.jsonl.gz")
    assert (first.id, first.text, first.speaker, first.language) == ("s1", "three", "k", "en")
    assert (second.start, second.seconds) == (0.3, 0.1)
    assert first.audio == str(clips / "a.wav")


def test_audio_inside_a_dataset_is_written_out(clips, tmp_path):
    import datasets

    content = (clips / "a.wav").read_bytes()
    rows = [{"audio": {"bytes": content, "path": "deep/a.wav"}, "path": "a.wav", "sentence": "one"}]
    data = datasets.Dataset.from_list(rows).cast_column("audio", datasets.Audio(decode=False))
    data.save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "t.parquet")
    for source in ("saved", "t.parquet"):
        (utterance,) = read_source(tmp_path / source, audio_out=tmp_path / "out")
        assert utterance.audio == str(tmp_path / "out" / "00000000.wav")
        assert (tmp_path / "out" / "00000000.wav").read_bytes() == content


def test_a_dataset_with_several_splits_asks_which(tmp_path):
    import datasets

    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": data, "test": data.select([1])}).save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    data.select([1]).to_parquet(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet")
    for source in ("saved", "hub"):
        assert [u.id for u in read_source(tmp_path / source, split="test")] == ["u2"]
        with pytest.raises(ValueError, match=r"has the splits .*train.*; choose: --split NAME"):
            list(read_source(tmp_path / source))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.jsonl", '{"audio": "a.wav", "text": "x"}\n{"audio": "b', r"t.jsonl:2: no JSON object .*was the file cut"),
        ("t.jsonl", "[1]\n", r"t.jsonl:1: expected a JSON object, found list"),
        ("t.jsonl", '{"audio": "a.wav", "text": 5}\n', r"t.jsonl:1: the text is int; expected text"),
        ("t.jsonl", '{"audio": "a.wav", "text": "x", "duration": "long"}\n', r"t.jsonl:1: the seconds 'long' is no number"),
        ("t.jsonl", '{"audio": "", "text": "x"}\n', r"t.jsonl:1: names no audio"),
        ("t.csv", "path,sentence\na.wav,one\nb.wav\n", r"t.csv:3: has not the 2 columns of the header"),
        ("t.csv", "path,sentence\na.wav,one, two\n", r"t.csv:2: has not the 2 columns .*separator not quoted"),
        ("t.csv", 'path,sentence\na.wav,"one\n', r"t.csv: after line 1: unexpected end of data; is a quote"),
        ("t.csv", "path,path\na.wav,b\n", r"t.csv:1: a column name is used twice"),
        ("t.csv", "clip,said\na.wav,one\n", r"t.csv:2: the column of the audio was not found; .*--column audio=NAME"),
        ("t.csv", "path,file,text\na.wav,b.wav,one\n", r"the audio could be path or file"),
        ("t.csv", "path,text\n", r"t.csv: holds no rows"),
        ("t.csv", "", r"t.csv: holds no rows"),
        ("t.txt", "x", r"cannot tell its form by its name; say --form"),
    ],
)  # fmt: skip
def test_a_broken_table_is_named(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        list(read_source(write(tmp_path / name, text)))


def test_a_table_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "t.csv").write_bytes("path,text\na.wav,ok\nb.wav,fünf\n".encode("latin-1"))
    with pytest.raises(RecordError, match=r"t.csv: not UTF-8 after line [0-2] "):
        list(read_source(tmp_path / "t.csv"))


def test_a_cut_gzip_file_is_named(tmp_path):
    path = write_form(tmp_path, "jsonl.gz")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(RecordError, match=r"t.jsonl.gz: cannot be read after line 0 .*copy it again"):
        list(read_source(path))


def test_a_cut_parquet_file_is_named(tmp_path):
    path = write_form(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"t.parquet: cannot be read after 0 rows"):
        list(read_source(path))


def test_no_row_with_the_value_is_said(tmp_path):
    source = write(tmp_path / "t.csv", "path,text,split\na.wav,one,train\n")
    with pytest.raises(ValueError, match="holds no rows in which split = dev"):
        list(read_source(source, columns=Columns(where={"split": "dev"})))


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="no field 'txt' of an utterance; fields are id, audio, text"):
        Columns({"txt": "sentence"})


def test_an_absent_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no .*gone.csv"):
        list(read_source(tmp_path / "gone.csv"))


def test_splits_are_known_by_the_folder_where_files_are_numbered(tmp_path):
    import datasets

    for split, row in (("train", 0), ("test", 1)):
        datasets.Dataset.from_list([ROWS[row]]).to_parquet(tmp_path / "hub" / split / "0000.parquet")
    assert [u.id for u in read_source(tmp_path / "hub", split="test")] == ["u2"]
    with pytest.raises(ValueError, match="has the splits test, train; choose"):
        list(read_source(tmp_path / "hub"))


def test_a_split_is_not_one_whose_name_begins_alike(tmp_path):
    import datasets

    for split, row in (("train", 0), ("train_noisy", 1)):
        datasets.Dataset.from_list([ROWS[row]]).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    assert [u.id for u in read_source(tmp_path, split="train")] == ["u1"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "datasets"])
def test_a_split_of_what_has_none_is_refused(tmp_path, form):
    with pytest.raises(ValueError, match=r"--where split=train|leave out --split train"):
        list(read_source(write_form(tmp_path, form), split="train"))


def test_each_row_has_its_own_columns(tmp_path):
    rows = [
        {"audio": "a.wav", "text": "x"},
        {"audio": "b.wav", "text": "y", "start": 1, "seconds": 2, "speaker": "s"},
    ]
    source = write(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_source(source)
    assert (first.start, first.seconds, first.speaker) == (0.0, math.inf, "")
    assert (second.start, second.seconds, second.speaker) == (1.0, 2.0, "s")


def test_columns_that_begin_to_differ_are_asked_about(tmp_path):
    source = write(tmp_path / "t.csv", "path,text,sentence\na.wav,one,one\nb.wav,two,Two.\n")
    with pytest.raises(ValueError, match=r"t.csv:3: the column of the text could be text or sentence"):
        list(read_source(source))


def test_cuts_that_are_changed_on_reading_are_refused(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav").perturb_speed(2.0)
    supervision = lhotse.SupervisionSegment("s", recording.id, 0.0, 0.2, text="three")
    cut = lhotse.MonoCut("c", 0.0, 0.25, 0, supervisions=[supervision], recording=recording)
    lhotse.CutSet.from_cuts([cut]).to_file(clips / "cuts.jsonl.gz")
    with pytest.raises(RecordError, match="its audio is changed on reading"):
        list(read_source(clips / "cuts.jsonl.gz"))


def test_a_cut_without_text_is_not_lost(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav")
    lhotse.CutSet.from_cuts([lhotse.MonoCut("c", 0.0, 0.5, 0, recording=recording)]).to_file(
        clips / "cuts.jsonl.gz"
    )
    assert [(u.id, u.text, u.seconds) for u in read_source(clips / "cuts.jsonl.gz")] == [("c", "", 0.5)]


def test_kaldi_files_may_have_tabs(tmp_path):
    folder = kaldi(tmp_path, wav_scp="u1\ta.wav\n", text="u1\tTHREE FIVE\n", segments=None, utt2spk="u1\ts\n")
    assert [(u.audio, u.text, u.speaker) for u in read_source(folder)] == [("a.wav", "THREE FIVE", "s")]


def test_an_id_does_not_hang_on_where_audio_is_written(clips, tmp_path):
    import datasets

    content = (clips / "a.wav").read_bytes()
    rows = [{"audio": {"bytes": content, "path": path}, "text": "one"} for path in ("x/a.wav", None)]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    for out in ("here", "there"):
        found = read_source(tmp_path / "t.parquet", audio_out=tmp_path / out)
        assert [utterance.id for utterance in found] == ["x/a", "t-1"]


def test_attributes_are_kept_where_they_are_known(tmp_path):
    rows = "id,audio,text,mood\nu1,a.wav,one,happy\nu2,b.wav,two,\n"
    columns = Columns(attributes={"emotion": "mood"})
    found = read_source(write(tmp_path / "t.csv", rows), columns=columns)
    assert [utterance.attributes for utterance in found] == [{"emotion": "happy"}, {}]


def read(path, text, **options):
    """The items of a source that is written first."""
    return list(read_source(write(path, text), **options))


SEGMENTS = [("m.wav", 0, 8, "a"), ("m.wav", 10, 8, "b"), ("m.wav", 10, 9.5, "c"), ("n.wav", 0.5, 1, "d")]


@pytest.mark.parametrize("form", ["nemo", "csv", "ends", "datasets"])
def test_segments_of_one_recording_get_ids_of_their_times(tmp_path, form):
    columns = ("audio_filepath", "offset", "duration", "text")
    rows = [dict(zip(columns, row, strict=True)) for row in SEGMENTS]
    if form == "nemo":
        source = write(tmp_path / "t.json", "".join(json.dumps(row) + "\n" for row in rows))
    elif form == "csv":
        lines = [",".join(map(str, row.values())) for row in rows]
        source = write(tmp_path / "t.csv", "\n".join([",".join(columns), *lines]) + "\n")
    elif form == "ends":
        lines = [f"{audio},{start},{start + seconds},{text}" for audio, start, seconds, text in SEGMENTS]
        source = write(tmp_path / "t.csv", "\n".join(["path,start,end,text", *lines]) + "\n")
    else:
        import datasets

        source = tmp_path / "saved"
        rows = [{**row, "offset": float(row["offset"]), "duration": float(row["duration"])} for row in rows]
        datasets.Dataset.from_list(rows).save_to_disk(source)
    found = list(read_source(source))
    assert [u.id for u in found] == ["m@0-8", "m@10-18", "m@10-19.5", "n"]
    assert [(u.start, u.seconds) for u in found] == [(0, 8), (10, 8), (10, 9.5), (0.5, 1)]


def test_ids_hang_neither_on_the_order_of_rows_nor_on_which_are_read(tmp_path):
    rows = ["m.wav,0,8,a,train", "m.wav,10,8,b,test", "n.wav,0,1,c,test"]
    header = "path,start,duration,text,split\n"
    forwards = read(tmp_path / "t.csv", header + "\n".join(rows) + "\n")
    backwards = read(tmp_path / "b.csv", header + "\n".join(rows[::-1]) + "\n")
    chosen = read(
        tmp_path / "c.csv", header + "\n".join(rows) + "\n", columns=Columns(where={"split": "test"})
    )
    assert [u.id for u in forwards] == ["m@0-8", "m@10-18", "n"]
    assert [u.id for u in backwards] == ["n", "m@10-18", "m@0-8"]
    assert [u.id for u in chosen] == ["m@10-18", "n"]


@pytest.mark.parametrize(
    ("audio", "ids"),
    [
        (["x/a.wav", "y/a.wav"], ["x/a", "y/a"]),
        (["a.wav", "a.mp3", "b.wav"], ["a.wav", "a.mp3", "b"]),
        (["clip.1", "clip.2"], ["clip.1", "clip.2"]),
        (["./a.wav", "b.wav"], ["a", "b"]),
    ],
)
def test_files_of_one_name_get_ids_of_their_own(tmp_path, audio, ids):
    rows = "".join(f"{path},{number}\n" for number, path in enumerate(audio))
    assert [u.id for u in read(tmp_path / "t.csv", "path,text\n" + rows)] == ids


def test_channels_of_one_recording_get_ids_of_their_own(tmp_path):
    rows = "c.wav,A,0,2,hello\nc.wav,B,0,2,hi\n"
    *found, note = read(tmp_path / "t.csv", "path,channel,start,duration,text\n" + rows)
    assert [u.id for u in found] == ["c@chA@0-2", "c@chB@0-2"]
    assert note == Note("name a channel, which is not read alone: all channels of a recording are", 2)


def test_a_channel_of_somebody_is_none_of_a_recording(tmp_path):
    found = read(
        tmp_path / "t.csv", "path,channel,start,duration,text\nv.wav,My Show,0,2,a\nv.wav,My Show,2,2,b\n"
    )
    assert [u.id for u in found] == ["v@0-2", "v@2-4"]


def test_the_channel_of_a_kaldi_segment_is_told(tmp_path):
    *found, note = read_source(kaldi(tmp_path, segments="u1 r1 0.1 0.4 1\nu2 r2 0.0 0.5 A\n"))
    assert [u.id for u in found] == ["u1", "u2"]
    assert note.count == 2


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("a.wav,0,1,one,eins", "the same row twice"),
        ("./a.wav,0.0,1.0,one,eins", "the same row twice"),
        ("a.wav,0,1,two,eins", "the same audio twice, with another text"),
        ("a.wav,0,1,one,zwei", "the same audio twice, with other labels"),
    ],
)
def test_a_row_of_audio_that_is_there_already_is_rejected_with_both_lines(tmp_path, second, reason):
    text = f"path,start,duration,text,german\na.wav,0,1,one,eins\nb.wav,0,1,x,y\n{second}\n"
    *kept, rejection = read(tmp_path / "t.csv", text, columns=LABELLED)
    assert [u.id for u in kept] == ["a", "b"]
    assert (rejection.id, rejection.reason) == ("a", reason)
    assert rejection.detail == f"{tmp_path}/t.csv:4: the row of {tmp_path}/t.csv:2 was kept"


def test_the_same_row_with_an_id_is_rejected_too(tmp_path):
    first, second = read(tmp_path / "t.csv", "id,path,text\nu,a.wav,one\nu,a.wav,one\n")
    assert (first.id, second.id, second.reason) == ("u", "u", "the same row twice")


def test_an_id_of_two_recordings_is_refused_with_both_lines(tmp_path):
    with pytest.raises(
        RecordError, match=r"t.csv:4: the id 'u' is used twice, first at .*t.csv:2, and not of the"
    ):
        read(tmp_path / "t.csv", "id,path,text\nu,a.wav,one\nv,b.wav,two\nu,c.wav,three\n")


def test_a_supervision_of_two_cuts_is_one_utterance(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav")
    supervision = lhotse.SupervisionSegment("s", recording.id, 0.1, 0.2, text="three")
    cut = lhotse.MonoCut("c", 0.0, 0.5, 0, supervisions=[supervision], recording=recording)
    lhotse.CutSet.from_cuts([*lhotse.CutSet.from_cuts([cut]).cut_into_windows(0.25)]).to_file(
        clips / "cuts.jsonl.gz"
    )
    first, second = read_source(clips / "cuts.jsonl.gz")
    assert (first.id, first.start, first.seconds) == ("s", pytest.approx(0.1), 0.2)
    assert second.reason == "the same row twice"


def test_audio_inside_a_dataset_that_has_one_name_twice_gets_ids_of_its_own(clips, tmp_path):
    import datasets

    audio = [{"bytes": (clips / f"{name}.wav").read_bytes() + extra, "path": "1.wav"} for name, extra in
             (("a", b""), ("a", b"more"), ("a", b""))]  # fmt: skip
    rows = [{"audio": value, "text": "one"} for value in audio]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    found = list(read_source(tmp_path / "t.parquet", audio_out=tmp_path / "out"))
    assert [item.id for item in found] == ["1", "1@1", "1"]
    assert found[2].reason == "the same row twice"


def test_segments_of_audio_inside_a_dataset(clips, tmp_path):
    import datasets

    content = {"bytes": (clips / "a.wav").read_bytes(), "path": "m.wav"}
    rows = [{"audio": content, "start": start, "duration": 0.1, "text": "x"} for start in (0.0, 0.2)]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    found = read_source(tmp_path / "t.parquet", audio_out=tmp_path / "out")
    assert [utterance.id for utterance in found] == ["m", "m@0.2-0.3"]


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        ("split=train", "ab"),
        ("split == train", "ab"),
        ("split!=train", "cd"),
        ("split in dev, test", "cd"),
        ("split in (dev)", "c"),
        ("length<10", "ab"),
        ("length<=10", "abc"),
        ("length > 9.5", "cd"),
        ("length>=1e1", "cd"),
        ("length=10", "c"),
        ("length=10.0", "c"),
        ("length!=10", "abd"),
        ("length in 9,10.00", "bc"),
        ("speaker=7", "b"),  # 007 is a name
        ("speaker=007", "a"),
        ("name=gr\u00f6\u00dfe", "a"),
        ("note=a=b", "a"),
        ("note=x<y", "b"),
        ("note!=a=b", "bcd"),
    ],
)
def test_rows_are_chosen_by_conditions(tmp_path, condition, chosen):
    rows = "a,x,train,1.5,007,gro\u0308\u00dfe,a=b\nb,x,train,9,7,n,x<y\nc,x,dev,10,8,n,\nd,x,test,100,9,n,\n"
    columns = Columns(where=(Condition.parse(condition),))
    found = read(tmp_path / "t.csv", "path,text,split,length,speaker,name,note\n" + rows, columns=columns)
    assert "".join(utterance.id for utterance in found) == chosen


def test_several_conditions_must_all_fit(tmp_path):
    where = tuple(map(Condition.parse, ("seconds>=1", "seconds<3")))
    rows = "".join(json.dumps({"path": f"{n}.wav", "text": "x", "seconds": n}) + "\n" for n in range(5))
    assert [u.id for u in read(tmp_path / "t.jsonl", rows, columns=Columns(where=where))] == ["1", "2"]


def test_rows_without_the_number_that_is_compared_are_counted(tmp_path):
    rows = '{"path": "a.wav", "text": "x", "snr": null}\n{"path": "b.wav", "text": "x", "snr": 20}\n'
    columns = Columns(where=(Condition.parse("snr>10"),))
    utterance, note = read(tmp_path / "t.jsonl", rows, columns=columns)
    assert (utterance.id, note) == (
        "b",
        Note("rows left out that have no snr, by which they were to be chosen", 1),
    )


@pytest.mark.parametrize("condition", ["valid=true", "valid=True", "valid!=false"])
def test_true_is_true(tmp_path, condition):
    rows = '{"path": "a.wav", "text": "x", "valid": true}\n{"path": "b.wav", "text": "x", "valid": false}\n'
    found = read(tmp_path / "t.jsonl", rows, columns=Columns(where=(Condition.parse(condition),)))
    assert [u.id for u in found] == ["a"]


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "split",
        "=train",
        "split=",
        "split in",
        "split in ,",
        "in a,b",
        "length<",
        "split=>3",
        "length<many",
    ],
)
def test_what_is_no_condition_is_refused(condition):
    with pytest.raises(ValueError, match="is no condition|is no number"):
        Condition.parse(condition)


@pytest.mark.parametrize(
    ("separator", "ending"), [(s, e) for s in ",;|\t" for e in ("csv", "tsv", "txt", "csv.gz")]
)
def test_the_separator_of_a_table_is_found(tmp_path, separator, ending):
    rows = [["path", "sentence", "note"], ["a.wav", "three five", "x"], ["b.wav", "nine", "y"]]
    text = "".join(separator.join(row) + "\n" for row in rows)
    path = tmp_path / f"t.{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    assert [(u.id, u.text) for u in read_source(path)] == [("a", "three five"), ("b", "nine")]


def test_a_separator_within_the_header_does_not_mislead(tmp_path):
    found = read(tmp_path / "t.csv", "path,sentence,a|b|c|d\na.wav,three | five,x\n")
    assert found[0].text == "three | five"


def test_ljspeech_has_no_header_and_its_audio_is_named_after_the_id(tmp_path):
    text = 'LJ001-0001|He said "two|he said "two\nLJ001-0002|in 1455|in fourteen fifty-five\n'
    columns = Columns({"audio": "wavs/{id}.wav"})
    found = read(tmp_path / "metadata.csv", text, names=["id", "raw", "text"], columns=columns)
    assert [(u.id, u.audio, u.text) for u in found] == [
        ("LJ001-0001", "wavs/LJ001-0001.wav", 'he said "two'),
        ("LJ001-0002", "wavs/LJ001-0002.wav", "in fourteen fifty-five"),
    ]


def test_a_table_of_semicolons_has_decimal_commas(tmp_path):
    text = 'path;start;duration;text\na.wav;0,5;1,25;"drei; fünf"\nb.wav;1;2.5;1,5\n'
    where = (Condition.parse("duration<2"),)
    found = read(tmp_path / "t.csv", text)
    assert [(u.start, u.seconds, u.text) for u in found] == [(0.5, 1.25, "drei; fünf"), (1.0, 2.5, "1,5")]
    assert [u.id for u in read(tmp_path / "u.csv", text, columns=Columns(where=where))] == ["a"]


def test_a_decimal_comma_between_commas_is_no_number(tmp_path):
    with pytest.raises(RecordError, match=r"t.csv:2: the seconds '1,25' is no number"):
        read(tmp_path / "t.csv", 'path,duration,text\na.wav,"1,25",x\n')


def test_the_separator_may_be_given(tmp_path):
    assert read(tmp_path / "t.csv", "path~text\na.wav~one\n", separator="~")[0].text == "one"


def test_a_long_row_is_shortened_in_the_error(tmp_path):
    with pytest.raises(ValueError, match=r"t.csv:2: the column of the audio was not found") as caught:
        read(tmp_path / "t.csv", f"a.wav|{'three ' * 1000}\nb.wav|two\n")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


class Hub:
    """Stands for the functions of `datasets` that read the hub."""

    def __init__(self, monkeypatch, data, offline=False):
        import datasets

        self.data, self.asked = data, []
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(datasets, "load_dataset", self.load)
        monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name, config: list(data))

    def load(self, name, config, *, split, **options):
        self.asked.append((name, config, split, options))
        return self.data if split is None else self.data[split]


@pytest.fixture
def hub_data():
    import datasets

    rows = datasets.Dataset.from_list(ROWS)
    return datasets.DatasetDict({"train": rows, "test": rows.select([1])})


@pytest.mark.parametrize("source", ["hf://owner/name", "hf://datasets/owner/name", "owner/name"])
def test_a_dataset_of_the_hub_is_read(monkeypatch, tmp_path, hub_data, source):
    monkeypatch.chdir(tmp_path)
    hub = Hub(monkeypatch, hub_data)
    found = list(read_source(source, split="test", config="en", columns=LABELLED))
    assert found == expected()[1:]
    assert hub.asked == [("owner/name", "en", "test", {})]


def test_a_revision_of_the_hub_is_asked_for(monkeypatch, hub_data):
    hub = Hub(monkeypatch, hub_data)
    list(read_source("hf://owner/name@v1.0", split="train"))
    assert hub.asked == [("owner/name", None, "train", {"revision": "v1.0"})]


@pytest.mark.parametrize("offline", [False, True])
def test_a_dataset_of_the_hub_with_several_splits_asks_which(monkeypatch, hub_data, offline):
    Hub(monkeypatch, hub_data, offline)
    with pytest.raises(ValueError, match="hf://owner/name: has the splits train, test; choose: --split NAME"):
        list(read_source("hf://owner/name"))


@pytest.mark.parametrize("offline", [False, True])
def test_the_one_split_of_a_dataset_of_the_hub_is_read(monkeypatch, hub_data, offline):
    del hub_data["train"]
    Hub(monkeypatch, hub_data, offline)
    assert [u.id for u in read_source("hf://owner/name")] == ["u2"]


def test_a_dataset_that_is_not_in_the_cache_is_said_in_one_line():
    with pytest.raises(
        ValueError, match=r"hf://owner/name: cannot be loaded \(.*HF_HUB_OFFLINE is set"
    ) as caught:
        list(read_source("hf://owner/name", split="test"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["data/gone.csv", "gone", "there/name", "a/b/c"])
def test_a_path_is_no_dataset_of_the_hub(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert hub_name(source) is None


@pytest.mark.parametrize("source", ["hf://name", "hf://a/b/c"])
def test_what_is_no_name_of_the_hub_is_refused(source):
    with pytest.raises(ValueError, match="give a dataset of the hub as hf://owner/name"):
        hub_name(source)
