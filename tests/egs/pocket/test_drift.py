"""Drift with codebook speech: its frames, its aligned start, its measures and its table, on a tiny LLM."""

import pytest
import torch
import yaml

from auralign.layout import Response
from auralign.testing.tiny.llm import make_tiny_llm
from local import drift


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    registered = yaml.safe_load(drift.REGISTERED.read_text(encoding="utf-8"))
    registered["corpus"] |= {"num_words": 60, "num_train": 20, "num_test": 4}
    registered["aligned"] = {"num_steps": 200, "utts_per_step": 8, "lr": 3e-3}
    registered |= {"num_steps": 2, "max_new_tokens": 4, "instructions": ["{speech} sort", "{speech} count"]}
    folder = tmp_path_factory.mktemp("llm")
    make_tiny_llm(folder)
    return drift.Bench(registered, folder)


@pytest.fixture(scope="module")
def aligned(bench):
    return bench.align(seed=1)


def test_speakers_differ_by_an_offset_that_is_the_same_in_every_frame():
    book = drift.Codebook(9, width=4, frames_per_token=3, noise=0.3, speaker=0.3, num_speakers=2)
    difference = book.say([1, 5], 0, seed=7) - book.say([1, 5], 1, seed=7)
    assert difference.shape == (6, 4)
    torch.testing.assert_close(difference, difference[:1].expand(6, 4))


def test_test_texts_are_not_in_training_and_have_known_words():
    train, test = drift.choose_texts(num_words=100, num_train=50, num_test=10)
    assert len(train) == 50 and len(test) == 10 and not set(train) & set(test)
    assert len({word for text in train + test for word in drift.normalise(text).split()}) <= 100


def test_the_aligned_start_hears_speakers_that_it_was_not_trained_on(bench, aligned):
    assert bench.measure(aligned)["heard"] > 0.9


def test_the_embeddings_of_the_text_itself_are_obeyed_and_do_not_command(bench, aligned, monkeypatch):
    def as_text(model, frames):
        return [[bench.llm.embed(bench.text_ids(text)).detach()] for text in bench.test]

    monkeypatch.setattr(bench, "hear", as_text)
    found = bench.measure(aligned)
    assert (found["heard"], found["same"]) == (1.0, 1.0)
    assert found["recovery"] == pytest.approx(1.0, abs=1e-4) and found["margin"] == pytest.approx(
        0.0, abs=1e-4
    )


def test_nll_of_a_response_to_text_is_that_of_the_audit(bench, aligned):
    response = Response(bench.train[0])
    view = drift.View((*drift.fill(None, drift.Text(bench.train[0], drift.SPEECH)), response))
    surprise = drift.read_surprises(bench.llm, [bench.renderer.render(view)], about="test")[0]
    nll, count = bench.nll(aligned, None, bench.train[0], response)
    assert (nll, count) == (pytest.approx(surprise.nll, rel=1e-4), surprise.num_tokens)


def test_drift_changes_the_connector_alone(bench):
    model = bench.make_model(seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    bench.drift(model, bench.how["arms"]["E"], seed=1)
    changed = {
        name.split(".")[0]
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"connector"}


def test_the_table_takes_contrasts_within_seeds():
    registered = {
        "arms": {"C": {}, "D": {}},
        "contrasts": [{"of": "D - C", "measure": "margin", "expected": "above 0.5"}],
    }
    same = {"recovery": 1.0, "verbatim": 0.0, "same": 1.0, "heard": 1.0}
    rows = [
        {"arm": arm, "seed": seed, "margin": margin, **same}
        for arm, seed, margin in (("C", 1, 0.1), ("D", 1, 0.5), ("C", 2, 0.2), ("D", 2, 1.0), ("D", 3, 9.0))
    ]
    assert "D - C, margin: 0.60 (0.40..0.80); expected above 0.5; 2 seeds" in drift.as_table(registered, rows)


def test_an_unknown_arm_is_named(tmp_path):
    with pytest.raises(ValueError, match="no arm 'Z'; drift.yaml has A, B, C, D, E"):
        drift.main(["--llm", "models/none", "--arms", "A,Z", "--output", str(tmp_path)])
