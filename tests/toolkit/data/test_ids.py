"""Rows without an id get one; rows that have the id of another are found."""

import json

import pytest

from auralign.data.rejected import Note
from auralign.data.sources import Columns, read_source
from auralign.records import RecordError
from source_forms import LABELLED, read, write

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
    assert note == Note("name a channel, but all channels of a recording are read", 2)


def test_a_channel_of_somebody_is_none_of_a_recording(tmp_path):
    found = read(
        tmp_path / "t.csv", "path,channel,start,duration,text\nv.wav,My Show,0,2,a\nv.wav,My Show,2,2,b\n"
    )
    assert [u.id for u in found] == ["v@0-2", "v@2-4"]


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


def test_an_id_does_not_hang_on_where_audio_is_written(clips, tmp_path):
    import datasets

    content = (clips / "a.wav").read_bytes()
    rows = [{"audio": {"bytes": content, "path": path}, "text": "one"} for path in ("x/a.wav", None)]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "t.parquet")
    for out in ("here", "there"):
        found = read_source(tmp_path / "t.parquet", audio_out=tmp_path / out)
        assert [utterance.id for utterance in found] == ["x/a", "t-1"]


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
