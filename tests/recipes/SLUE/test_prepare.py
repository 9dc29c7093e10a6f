"""Stage 1 of the recipe SLUE: what is trained on, tested on and asked, from both forms of the corpora."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from auralign.corpora.slue import labels
from auralign.corpora.slue.answers import read_answer
from auralign.data.rejected import Note, Rejection
from auralign.layout import SLOT
from auralign.records import Question, Records, Utterance
from auralign.testing.corpora.slue import make_slue, make_slue_phase_2
from auralign.testing.corpora.slue_parquet import make_slue_parquet

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "SLUE"


def load(name):
    """A script of the recipe: its folder has names that others have too."""
    spec = importlib.util.spec_from_file_location(f"slue_{name}", RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prepare = load("prepare")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    make_slue(folder)
    return make_slue_phase_2(folder)


def run(data, folder, *options):
    prepare.main(
        [str(RECIPE / "hparams/smoke.yaml"), "--data", str(data), "--data_folder", str(folder), *options]
    )


def manifest(folder, split):
    return Records(folder / f"{split}.jsonl", Utterance)


def questions(folder):
    return list(Records(folder / "test.questions.jsonl", Question))


@pytest.fixture(scope="module")
def prepared(release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    run(release, folder, "--corpora", "all")
    return folder


def test_each_task_is_asked_of_each_test_utterance_in_five_wordings(prepared):
    asked = {}
    for question in questions(prepared):
        asked.setdefault((question.group, question.task), []).append(question.phrasing)
    assert {key: len(numbers) for key, numbers in asked.items()} == {
        ("voxpopuli: transcripts", "asr"): 20,
        ("voxpopuli: named entities", "ner"): 20,
        ("voxceleb: transcripts", "asr"): 15,
        ("voxceleb: sentiments", "sentiment"): 15,
        ("hvb: dialog acts", "acts"): 20,
        ("sqa5: answers in the audio", "question"): 15,
        ("ted: titles", "title"): 20,
        ("ted: abstracts", "abstract"): 20,
        ("vp_nel: entities in the audio", "nel"): 20,
    }
    assert all(set(numbers) == set(range(5)) for numbers in asked.values())


def test_references_are_in_the_strict_format(prepared):
    found = {(question.utt_id, question.task): question.reference for question in questions(prepared)}
    assert found["voxpopuli/test_2", "ner"] == "GPE: germany\nGPE: france"
    assert found["voxpopuli/test_3", "ner"] == "none"
    assert found["voxpopuli/test_1", "asr"] == "ten members left"
    assert found["voxceleb/test1", "sentiment"] == "Negative"
    assert found["hvb/test_1200_1700", "acts"] == "question_check"
    assert found["sqa5/test2", "question"] == "paris"
    assert found["ted/test_art", "title"] == "Art"
    assert found["ted/test_art", "abstract"] == "On art."
    assert found["vp_nel/nel_test_1", "nel"] == "PLACE: malta\nPLACE: rome"
    assert all(read_answer(task, text) is not None for (_, task), text in found.items() if task != "asr")


def test_ids_that_corpora_share_are_kept_apart(prepared):
    ids = [utterance.id for utterance in manifest(prepared, "test")]
    assert {"voxceleb/test1", "sqa5/test1"} <= set(ids)


def test_a_document_is_read_once_for_training_and_with_every_question_for_the_test(prepared):
    # Both documents of this fine-tune split are the test's too, so that no training clip is left of them.
    lines = (prepared / "train.overlap.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["sqa5/nq-train-1:2", "sqa5/nq train 2"]
    assert sum(u.labels["subset"] == "sqa5" for u in manifest(prepared, "test")) == 3


def test_entities_in_the_audio_are_not_trained_on(prepared):
    assert "vp_nel" not in {
        u.labels["subset"] for split in ("train", "valid") for u in manifest(prepared, split)
    }


def test_the_text_of_the_question_stands_in_the_instruction(prepared):
    asked = [question.instruction for question in questions(prepared) if question.utt_id == "sqa5/test1"]
    assert len(asked) == 5
    assert all("of what" in text and text.count(SLOT) == 1 for text in asked)


def test_parquet_gives_the_same_questions(prepared, tmp_path):
    run(make_slue_parquet(tmp_path), tmp_path / "data", "--corpora", "all")
    assert sorted(q.key for q in questions(tmp_path / "data")) == sorted(q.key for q in questions(prepared))
    by_key = {question.key: question for question in questions(tmp_path / "data")}
    assert all(by_key[question.key] == question for question in questions(prepared))


def test_fewer_wordings_and_utterances_may_be_asked(release, tmp_path):
    run(release, tmp_path, "--corpora", "hvb,voxpopuli", "--phrasings", "2", "--limit", "3")
    assert len(questions(tmp_path)) == 3 * 2 * 2 + 3 * 2


def test_a_test_on_dev_validates_on_every_20th_of_fine_tune(release, tmp_path):
    run(release, tmp_path, "--corpora", "voxpopuli", "--test", "dev")
    assert [u.id for u in manifest(tmp_path, "valid")] == [
        "voxpopuli/20131007-0900-PLENARY-19-en_20131007-21:26:04_7"
    ]
    assert {u.id for u in manifest(tmp_path, "test")} == {"voxpopuli/dev_1", "voxpopuli/dev_2"}
    trained = {u.id for u in manifest(tmp_path, "train")}
    assert "voxpopuli/none_1" in trained and len(trained) == 4


@pytest.mark.parametrize("corpus", ["voxpopuli", "voxceleb"])
def test_a_blind_test_set_is_refused_in_one_line(release, tmp_path, corpus):
    data = shutil.copytree(release / f"slue-{corpus}", tmp_path / "SLUE" / f"slue-{corpus}").parent
    (data / f"slue-{corpus}" / f"slue-{corpus}_test.tsv").unlink()
    with pytest.raises(ValueError, match=r"blind.*--test dev.*hf download --repo-type dataset asapp/slue "):
        run(data, tmp_path / "data", "--corpora", corpus)
    run(data, tmp_path / "data", "--corpora", corpus, "--test", "dev")


def test_a_corpus_that_is_not_there_is_named_with_those_that_are(release, tmp_path):
    shutil.copytree(release / "slue-hvb", tmp_path / "SLUE" / "slue-hvb")
    with pytest.raises(FileNotFoundError, match=r'no slue-voxpopuli .*--corpora "hvb" '):
        run(tmp_path / "SLUE", tmp_path / "data")


def test_a_corpus_that_is_none_is_named(release, tmp_path):
    with pytest.raises(ValueError, match="no corpus 'voxpop'"):
        run(release, tmp_path, "--corpora", "voxpop hvb")


def test_a_corpus_without_training_data_needs_another(release, tmp_path):
    with pytest.raises(ValueError, match="no fine-tune split"):
        run(release, tmp_path, "--corpora", "vp_nel")


def test_download_fetches_what_has_archives_and_says_how_to_get_the_rest(tmp_path, monkeypatch, capsys):
    fetched = []
    monkeypatch.setattr(prepare, "fetch", lambda names, folder: fetched.append((list(names), folder)))
    with pytest.raises(
        FileNotFoundError, match=r"hvb: .*hf download .* asapp/slue-phase-2 --include 'hvb/\*'"
    ):
        run(tmp_path / "SLUE", tmp_path / "data", "--download")
    assert fetched == [(["slue-voxpopuli", "slue-voxceleb"], tmp_path / "SLUE")]
    assert "its test set is blind" in capsys.readouterr().out


@pytest.mark.parametrize("task", prepare.PROMPTS)
def test_five_wordings_with_one_slot(task):
    prompts = prepare.PROMPTS[task]
    assert len(set(prompts)) == 5
    assert all(prompt.count(SLOT) == 1 for prompt in prompts)
    assert {prompt.count("{") for prompt in prompts} == ({2} if task == "question" else {1})


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("ner", labels.RAW_TAGS),
        ("nel", labels.COMBINED_TAGS),
        ("acts", labels.DIALOG_ACTS),
        ("sentiment", labels.SENTIMENTS),
    ],
)
def test_every_wording_names_all_labels(task, labels):
    assert all(label in prompt for prompt in prepare.PROMPTS[task] for label in labels)


def utterance(number=0, **labels):
    return Utterance(id=f"u{number}", audio="x", seconds=1.0, text="a b", labels=labels)


@pytest.mark.parametrize(
    ("corpus", "labels", "reason"),
    [
        ("voxpopuli", {}, "without labels"),
        ("hvb", {"dialog_acts": []}, "no dialog act"),
        ("ted", {"title": ""}, "no title"),
        ("ted", {"title": "\u4f60", "abstract": "On you."}, "label outside the answer format"),
        ("ted", {"title": "Ears"}, "label outside the answer format"),
        ("sqa5", {"answer_spans": [], "answers": []}, "no answer span"),
        ("voxpopuli", {"entities": [["GPE", "none"]]}, "label outside the answer format"),
    ],
)
def test_what_no_answer_could_be_scored_on_is_rejected(corpus, labels, reason):
    (found,) = prepare.scorable([utterance(**labels)], corpus)
    assert isinstance(found, Rejection) and found.reason == reason


def test_an_utterance_without_entities_can_be_scored():
    (found,) = prepare.scorable([utterance(entities=[])], "voxpopuli")
    assert found.id == "u0"


def test_further_questions_about_a_document_are_told():
    items = [utterance(n, document_id=document) for n, document in enumerate(["a", "b", "a"])]
    *kept, note = prepare.every_document(items, "sqa5")
    assert [item.id for item in kept] == ["u0", "u1"]
    assert isinstance(note, Note) and note.count == 1


def test_every_20th_is_for_validation_and_no_other():
    items = [Rejection("r", "x"), *(utterance(n) for n in range(41)), Note("y")]
    valid, train = ([item for item in prepare.take(items, part)] for part in ("valid", "train"))
    assert [item.id for item in valid] == ["u0", "u20", "u40"]
    assert len(train) == 38 + 2  # and what was rejected or noted, once
