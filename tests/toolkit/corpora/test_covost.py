"""CoVoST's translations meet Common Voice's clips row by row, in the release's dialect; what has no partner says so."""

import math

import pytest

from auralign.corpora.covost import PUBLISHED, read_covost
from auralign.data.manifest import write_manifest
from auralign.data.rejected import Note, Rejection
from auralign.records import RecordError, Records, Utterance
from auralign.testing.corpora.covost import CLIPS, make_covost


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_covost(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def train(corpus):
    return list(read_covost(*corpus, "train")[0])


def utterances(items):
    return {item.id: item for item in items if isinstance(item, Utterance)}


def rejected(items):
    return {item.id: item.reason for item in items if isinstance(item, Rejection)}


def test_sentences_and_translations_are_as_they_were_meant(train):
    found = {
        identity: (item.text, item.labels["translation"]) for identity, item in utterances(train).items()
    }
    meant = {
        clip: (sentence, translation)
        for clip, (sentence, translation, split) in CLIPS.items()
        if split in ("train", "train_covost")
    }
    assert found == {**meant, "zero": ("Something", "Leer")}


@pytest.mark.parametrize(("split", "clip"), [("dev", "valid"), ("test", "test")])
def test_dev_and_test_are_without_those_of_version_1(corpus, split, clip):
    assert list(utterances(read_covost(*corpus, split)[0])) == [clip]


def test_an_utterance_tells_all_that_the_release_does(train, corpus):
    assert utterances(train)["quote"] == Utterance(
        id="quote",
        audio=str(corpus[1] / "clips/quote.mp3"),
        seconds=math.inf,
        text='He said "six',
        language="en",
        speaker="b" * 128,
        attributes={"age": "thirties", "gender": "female", "accent": "us"},
        labels={"translation": 'Er sagte "sechs'},
    )


def test_what_is_not_told_is_no_attribute(train):
    assert utterances(train)["tab"].attributes == {"gender": "other"}
    assert utterances(train)["plain"].attributes == {}


def test_a_row_without_its_partner_or_its_columns_is_rejected_with_its_reason(train):
    assert rejected(train) == {
        "shifted": "broken row",
        "plain": "path listed twice",
        "stranger": "not in validated.tsv",
        "typo": "unknown split",
        "untold": "no translation",
        "missing": "no such file",
    }


def test_the_first_of_a_path_listed_twice_is_kept(train):
    assert utterances(train)["plain"].labels["translation"] == "Guten Tag."


def test_clips_without_a_translation_are_told(train):
    found = {item.text: item.count for item in train if isinstance(item, Note)}
    # unlisted, and the two whose split cannot be known
    assert found == {
        "clips of validated.tsv without a translation": 3,
        "broken rows of validated.tsv, of other clips": 1,
    }


def test_rows_are_counted_beside_those_published(corpus):
    # 10 that are sound, and untold, missing, stranger, zero, the second plain
    assert str(read_covost(*corpus, "train")[1]) == (
        "en_de train: 15 rows listed, 13 of them in validated.tsv, 289430 published"
    )
    assert str(read_covost(*corpus, "dev")[1]) == (
        "en_de dev: 1 rows listed, 1 of them in validated.tsv, 15531 published"
    )


def test_the_published_table_has_each_source_once():
    assert len(PUBLISHED) == 22
    assert PUBLISHED["it"] == (31_698, 8_940, 8_951)


def test_the_manifest_measures_clips_and_rejects_those_that_are_empty_or_cut(corpus, tmp_path):
    items, _ = read_covost(*corpus, "train")
    path = tmp_path / "train.jsonl"
    summary = write_manifest(path, items, audio_folder=corpus[1], limit=0.5)
    assert summary.rejected == (
        "8 of 17 rejected (bad audio: 2, broken row: 1, no such file: 1, no translation: 1, not in validated.tsv: 1, path "
        "listed twice: 1, unknown split: 1)"
    )
    found = Records(path, Utterance)
    assert found["plain"].seconds == pytest.approx(0.5, abs=0.1)
    assert "cut" not in found and "zero" not in found
    assert found["nfc"].text != found["nfd"].text


def rewrite(path, *changes):
    text = path.read_text(encoding="utf-8-sig")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def test_a_clip_that_validated_tsv_has_twice_or_broken_is_rejected(tmp_path):
    table, root = make_covost(tmp_path)
    row = next(line for line in (root / "validated.tsv").read_text().splitlines() if "\tplain.mp3" in line)
    rewrite(root / "validated.tsv", (row, f"{row}\n{row}"), ("Welcome\t2\t0", "Welcome\t2"))
    found = list(read_covost(table, root, "train")[0])
    reasons = [(item.id, item.reason) for item in found if isinstance(item, Rejection)]
    assert reasons.count(("plain", "path listed twice")) == 2
    assert ("arabic", "broken row") in reasons and ("arabic", "not in validated.tsv") not in reasons


def test_crlf_is_read(tmp_path):
    table, root = make_covost(tmp_path)
    for path in (table, root / "validated.tsv"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert utterances(read_covost(table, root, "dev")[0])["valid"].labels == {"translation": "Sechs"}


def test_accents_of_a_later_release_are_the_accent(tmp_path):
    table, root = make_covost(tmp_path)
    rewrite(root / "validated.tsv", ("\taccent\n", "\taccents\n"))
    assert utterances(read_covost(table, root, "train")[0])["quote"].attributes["accent"] == "us"


def test_what_cannot_be_read_is_named(corpus, tmp_path):
    table, root = corpus
    with pytest.raises(ValueError, match="split 'valid': CoVoST 2 has train, dev, test"):
        read_covost(table, root, "valid")
    with pytest.raises(ValueError, match=r"validated.tsv: .*covost_v2.SOURCE_TARGET.tsv"):
        read_covost(root / "validated.tsv", root, "test")
    with pytest.raises(FileNotFoundError, match="no .*validated.tsv; give covost_v2.*Common Voice 4"):
        read_covost(table, tmp_path, "test")
    copy = tmp_path / table.name
    copy.write_text("path\tsplit\n")
    with pytest.raises(
        RecordError, match="covost_v2.en_de.tsv:1: no column 'translation'; columns are path, split"
    ):
        read_covost(copy, root, "test")
    copy.write_bytes("path\ttranslation\tsplit\na.mp3\tFünf\ttest\n".encode("latin-1"))
    with pytest.raises(RecordError, match="covost_v2.en_de.tsv: not UTF-8"):
        read_covost(copy, root, "test")
    copy.write_text("path\ttranslation\tsplit\na.mp3\tein\\")
    with pytest.raises(RecordError, match="covost_v2.en_de.tsv: after line 1: .*was the file cut"):
        read_covost(copy, root, "test")
