"""A corpus in every form that `auralign prepare` reads gives the same utterances; what is broken is named."""

import pytest

from auralign.data.sources import read_source
from auralign.records import RecordError
from source_forms import LABELLED, expected, write_form


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "csv", "tsv", "parquet", "datasets"])
def test_every_form_gives_the_same_utterances(tmp_path, form):
    assert list(read_source(write_form(tmp_path, form), columns=LABELLED)) == expected()


def test_a_cut_gzip_file_is_named(tmp_path):
    path = write_form(tmp_path, "jsonl.gz")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(RecordError, match=r"t.jsonl.gz: cannot be read after line 0 .*copy it again"):
        list(read_source(path))


def test_an_absent_source_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no .*gone.csv"):
        list(read_source(tmp_path / "gone.csv"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "datasets"])
def test_a_split_of_what_has_none_is_refused(tmp_path, form):
    with pytest.raises(ValueError, match=r"--where split=train|leave out --split train"):
        list(read_source(write_form(tmp_path, form), split="train"))
