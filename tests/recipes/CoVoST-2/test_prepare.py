"""Stage 1 of the CoVoST 2 recipe: which clips, with which translations, and what is asked about them."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from auralign.data.rejected import TooManyRejectedError
from auralign.files import read_json
from auralign.layout import Response
from auralign.method import draw, lay_out, respond
from auralign.plugins import find_methods, load_method
from auralign.records import Question, Records, Utterance
from auralign.testing.corpora.covost import SOUND_CLIPS, make_covost

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "CoVoST-2"
SMOKE = str(RECIPE / "hparams" / "smoke.yaml")
CHINESE = """\
path\ttranslation\tsplit
common_voice_en_0.mp3\t火车六点开。\ttrain
common_voice_en_13.mp3\t我从未去过罗马。\ttest
common_voice_en_14.mp3\t\ttest
absent.mp3\t没有。\ttest
"""


def load(name):
    spec = importlib.util.spec_from_file_location(f"covost_{name}", RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recipe = load("prepare")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The look-alike, with a second pair, whose table lies elsewhere."""
    folder = tmp_path_factory.mktemp("corpus")
    make_covost(folder, sound=True)
    (folder / "covost").mkdir()
    (folder / "covost" / "covost_v2.en_zh-CN.tsv").write_text(CHINESE, encoding="utf-8")
    return folder


def run(corpus, folder, *options):
    recipe.main(
        [SMOKE, "--data", str(corpus), "--data_folder", str(folder), "--max_rejected", "0.9", *options]
    )
    return folder


@pytest.fixture(scope="module")
def german(corpus, tmp_path_factory):
    return run(corpus, tmp_path_factory.mktemp("german"))


@pytest.fixture(scope="module")
def both(corpus, tmp_path_factory):
    return run(
        corpus, tmp_path_factory.mktemp("both"), "--pairs", "en_de, en_zh-CN", "--asr", "--phrasings", "2"
    )


def utterances(folder, split):
    return list(Records(folder / f"{split}.jsonl", Utterance))


def questions(folder, group):
    every = Records(folder / "test.questions.jsonl", Question)
    return [question for question in every if question.group == group]


def test_texts_stay_as_they_are_released(german):
    found = {utterance.id: utterance for utterance in utterances(german, "train")}
    assert found["common_voice_en_2"].text == '"Where is my coat?" he asked.'
    assert found["common_voice_en_2"].labels == {
        "subset": "en",
        "translation_de": "„Wo ist mein Mantel?“, fragte er.",
    }


def test_lengths_are_measured(german):
    assert all(0.4 < utterance.seconds < 1.1 for utterance in utterances(german, "test"))


def test_a_clip_of_two_pairs_is_one_utterance_with_both_translations(both, german):
    found = {utterance.id: utterance.labels for utterance in utterances(both, "train")}
    assert found["common_voice_en_0"] == {
        "subset": "en",
        "translation_de": "Der Zug fährt um sechs ab.",
        "translation_zh-CN": "火车六点开。",
    }
    assert list(found) == [utterance.id for utterance in utterances(german, "train")]


def test_a_row_that_one_pair_lacks_leaves_the_clip_to_the_other(both):
    (found,) = [utterance for utterance in utterances(both, "test") if utterance.id == "common_voice_en_14"]
    assert found.labels == {"subset": "en", "translation_de": "Die Katze schläft auf dem Sofa."}
    assert "common_voice_en_14" not in (both / "test.rejected.jsonl").read_text()


def test_every_test_clip_is_asked_for_in_five_phrasings(german):
    asked = questions(german, "en_de")
    num_clips = 1 + sum(line[2:].startswith("test") for line in SOUND_CLIPS)
    assert len(asked) == 5 * num_clips
    assert {(question.task, question.phrasing) for question in asked} == {("translate", n) for n in range(5)}
    assert all(
        "German" in question.instruction and question.instruction.count("{speech}") == 1 for question in asked
    )


def test_the_reference_is_the_pairs_own_translation(both):
    assert {question.reference for question in questions(both, "en_zh-CN")} == {"我从未去过罗马。"}
    assert {question.utt_id: question.reference for question in questions(both, "en_de")}[
        "common_voice_en_13"
    ] == ("Ich war noch nie in Rom.")


def test_transcripts_are_asked_for_once_for_all_pairs(both):
    asked = questions(both, "en: transcripts")
    assert len(asked) == 2 * len(utterances(both, "test"))
    assert ("common_voice_en_15", "What time is it?") in {
        (question.utt_id, question.reference) for question in asked
    }


def test_counts_stand_beside_the_published_ones(both):
    counts = read_json(both / "counts.json")["pairs"]
    assert counts["en_de"]["test"] == {
        "published": 15_531,
        "listed": 7,
        "not_in_validated": 0,
        "without_file": 0,
        "kept": 7,
    }
    assert counts["en_zh-CN"]["test"] == {
        "published": 15_531,
        "listed": 3,
        "not_in_validated": 1,
        "without_file": 0,
        "kept": 1,
    }


def test_what_speaks_against_release_4_is_told_in_a_line(german):
    told = read_json(german / "counts.json")["common_voice"]
    assert told.endswith(
        "is not Common Voice 4.0, or not all of it: 1 of 36 rows listed are not in validated.tsv; "
        "1 of 36 rows listed have no clip"
    )


def test_a_clip_that_two_pairs_lack_is_two_rows(tmp_path):
    (tmp_path / "validated.tsv").write_text("path\n")
    counts = {name: {"test": recipe.Found(15_531, listed=10, without_file=1)} for name in ("en_de", "en_ja")}
    assert recipe.doubt_release(tmp_path, counts).endswith(": 2 of 20 rows listed have no clip")


def test_it_is_told_too_where_too_much_is_missing_to_go_on(corpus, tmp_path, capsys):
    with pytest.raises(TooManyRejectedError, match="more than the limit of 1.0%"):
        run(corpus, tmp_path, "--max_rejected", "0.01")
    assert "train: " in capsys.readouterr().out.split(" is not Common Voice 4.0, or not all of it: ")[0]


def test_a_limit_does_not_weigh_the_faults_of_all_rows_against_a_few_clips(corpus, tmp_path):
    folder = run(corpus, tmp_path, "--limit", "2", "--max_rejected", "0.01")
    assert [len(utterances(folder, split)) for split in ("valid", "test")] == [2, 2]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\n", None),
        (
            "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\r\n",
            "is not Common Voice 4.0, or not all of it: validated.tsv has the columns accents, locale, segment, "
            "which 4.0 has not",
        ),
    ],
)
def test_a_later_release_is_known_by_its_columns(tmp_path, header, told):
    (tmp_path / "validated.tsv").write_text(header)
    assert recipe.doubt_release(tmp_path, {}) == (told and f"{tmp_path} {told}")


def test_there_are_36_pairs_and_a_name_for_every_target():
    targets = [recipe.Pair(name).target for name in recipe.PAIRS]
    assert (len(targets), targets.count("en")) == (36, 21)
    assert set(targets) == set(recipe.LANGUAGES)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("en_xx", "no pair 'en_xx'; CoVoST 2 has en_de, "),
        ("", "names none; CoVoST 2 has en_de, "),
        ("en_de fr_en", "en and fr are spoken; .* give pairs of one source in a run"),
    ],
)
def test_pairs_that_cannot_be_run_are_refused(text, told):
    with pytest.raises(ValueError, match=f"--pairs:? {told}"):
        recipe.parse_pairs(text)


def test_a_recognizer_of_another_language_is_refused(corpus, tmp_path):
    with pytest.raises(
        ValueError, match="source is 'en', but the pairs are spoken in 'zh-CN'; add --source zh"
    ):
        run(corpus, tmp_path, "--pairs", "zh-CN_en")


def test_a_table_that_is_nowhere_names_where_it_may_be(corpus, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no covost_v2.en_ja.tsv in .*/covost, .*; .* or give --download"
    ):
        run(corpus, tmp_path, "--pairs", "en_ja")


def test_audio_that_is_nowhere_is_to_be_got_by_hand(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="no validated.tsv in .* must be got by hand"):
        run(corpus, tmp_path, "--pairs", "fr_en", "--source", "fr")


def test_download_fetches_the_tables_that_are_missing(tmp_path, monkeypatch, capsys):
    (tmp_path / "covost_v2.en_de.tsv").touch()
    (tmp_path / "covost").mkdir()
    (tmp_path / "covost" / "covost_v2.en_fa.tsv").touch()
    (tmp_path / "covost" / "covost_v2.en_fa.tsv.tar.gz").touch()  # and no word of its being unpacked
    fetched = []
    monkeypatch.setattr(recipe, "fetch", lambda names, folder: fetched.append((names, folder)))
    recipe.download(recipe.parse_pairs("en_de en_fa en_ja"), tmp_path)
    assert fetched == [(["covost_v2.en_fa", "covost_v2.en_ja"], tmp_path / "covost")]
    assert "release 4.0 (2019-12-10) must be got by hand" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", sorted(entry.name for entry in find_methods() if entry.package == "auralign")
)
def test_no_method_sees_the_reference_translations(name):
    """Neither what the LLM is asked nor what is taught changes with them."""
    method = load_method(name)
    plain = Utterance(
        "a",
        "a.mp3",
        1.0,
        "Too hot.",
        words=(("too", 0.1, 0.4), ("hot", 0.4, 0.9)),
        attributes={"age": 30, "gender": "female", "emotion": "happy", **method.attributes_tried},
        others=("b",),
        find_other=lambda identity: Utterance(identity, "b.mp3", 1.0, "Too cold."),
    )
    labels = {"subset": "en", "translation_de": "Zu heiß.", "translation": "Zu heiß."}
    assert examples(method, replace(plain, labels=labels)) == examples(method, plain)


def examples(method, utterance):
    return [
        (
            choice,
            lay_out(method, utterance, choice, Response("an answer")),
            respond(method, utterance, choice),
        )
        for choice in draw(method, utterance, Random(1))
    ]
