"""Phrases are located inside longer audio; torchaudio is needed for alignment alone."""

import itertools
import math
import os
import subprocess
import sys

import pytest
import torch

from auralign.models.recognizers import CTCRecognizer, locate_units

TOKENS = ["<blank>", "one", "two"]


def identity_head():
    """A head whose logits are its frames."""
    head = torch.nn.Linear(3, 3)
    with torch.no_grad():
        head.weight.copy_(torch.eye(3))
        head.bias.zero_()
    return head


def log_frames(*ids, sure=0.8, tokens=TOKENS):
    """Frames whose logits are log probabilities: so sure of these tokens, the others share the rest."""
    rest = (1 - sure) / (len(tokens) - 1)
    return torch.log(rest + (sure - rest) * torch.nn.functional.one_hot(torch.tensor(ids), len(tokens)))


def locate(phrase, frames, *, tokens=TOKENS, length=None):
    recognizer = CTCRecognizer(identity_head(), tokens)
    ((found,),) = recognizer.locate(frames[None], torch.tensor([length or len(frames)]), [[phrase]])
    return found


@pytest.mark.parametrize(
    ("ids", "span"),
    [
        ((0, 1, 0, 2, 2, 0, 1, 1, 0), (3, 8)),  # in the middle
        ((2, 0, 1, 0, 2, 0), (0, 3)),  # at the very start
        ((0, 1, 2, 2, 1), (2, 5)),  # at the very end
        ((2, 1), (0, 2)),  # and nothing else
        ((0, 2, 2, 2, 0, 0, 1, 1, 0), (1, 8)),  # with all frames of its first and last word
    ],
)
def test_a_phrase_is_found_inside_other_words(ids, span):
    start, end, score = locate("two one", log_frames(*ids))
    assert (start, end) == span
    assert score == pytest.approx(math.log(0.8))  # blanks say nothing of the words


def test_the_likelier_of_two_places_is_taken():
    frames = torch.cat([log_frames(0, 1, 2, 0, sure=0.7), log_frames(1, 0, 2, 0), log_frames(1, 2, sure=0.7)])
    assert locate("one two", frames) == (4, 7, pytest.approx(math.log(0.8)))


def test_a_place_that_is_hard_to_hear_is_not_shortened():
    # In the second frame the blank is likeliest, but hardly: to leave it out would be to read it as a word.
    frames = torch.log(
        torch.tensor([[0.1, 0.5, 0.4], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]])
    )
    assert locate("one two", frames)[:2] == (0, 4)


def test_a_phrase_that_is_not_said_scores_low():
    said, absent = locate("one", log_frames(0, 1, 1, 0)), locate("two", log_frames(0, 1, 1, 0))
    assert said[2] == pytest.approx(math.log(0.8))
    assert absent[2] == pytest.approx(math.log(0.1))


def test_a_word_twice_in_a_phrase_has_a_blank_between():
    assert locate("one one", log_frames(1, 1, 2, 1, 0, 1, 0))[:2] == (3, 6)


def test_a_phrase_may_end_where_its_last_word_goes_on_with_another():
    assert locate("One!", log_frames(2, 1, 2, 2))[:2] == (1, 2)


def test_frames_beyond_the_length_hold_no_phrase():
    assert locate("two", log_frames(0, 2, 0, 2, 2), length=3)[:2] == (1, 2)


@pytest.mark.parametrize("phrase", ["three", "one three", "", "–", "one two one two one"])
def test_a_phrase_that_cannot_be_spelled_or_fitted_has_no_place(phrase):
    assert locate(phrase, log_frames(0, 1, 2, 0)) is None


def test_the_best_place_is_that_of_all_ways_written_out():
    """Against every way through 6 frames of random scores, by the definition in `locate_units`."""
    generator = torch.Generator().manual_seed(0)
    for ids in ([1], [1, 2], [2, 2], [1, 2, 1]):
        scores = torch.randn(6, 3, generator=generator).log_softmax(-1).double().numpy()
        best = (-math.inf, None)
        for start, end in itertools.combinations(range(7), 2):
            for way in itertools.product(range(3), repeat=end - start):
                runs = [label for label, _ in itertools.groupby(way) if label != 0]
                if runs == ids and way[0] == ids[0] and way[-1] == ids[-1]:
                    cost = sum(
                        (1 + 1e-3) * scores[start + at, label] - scores[start + at].max()
                        for at, label in enumerate(way)
                    )
                    best = max(best, (cost, (start, end)))
        start, end = locate_units(scores, ids)
        first, last = best[1]
        most = scores.argmax(1).tolist()
        assert start <= first < last <= end
        assert set(most[start:first]) <= {ids[0]} and set(most[last:end]) <= {ids[-1]}


@pytest.fixture(scope="module")
def without_torchaudio(tmp_path_factory):
    """What a process does that imports the rest of auralign, and then aligns, if the library of torchaudio does not load."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "torchaudio").mkdir()
    (folder / "torchaudio" / "__init__.py").write_text(
        "raise OSError('libtorchaudio.so: undefined symbol: aoti_torch')\n"
    )
    code = """
from auralign import script
import auralign.train.brain, auralign.publish.load, auralign.models.encoders
print("ready", flush=True)
def main(arguments):
    import torch
    from auralign.models.recognizers import forced_align
    forced_align(torch.zeros(1, 9, 3), torch.tensor([[1]]), blank=0)
script.run(main)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_torchaudio_that_does_not_load_stops_nothing_else(without_torchaudio):
    assert without_torchaudio.stdout == "ready\n"


def test_alignment_says_in_one_line_why_torchaudio_does_not_load(without_torchaudio):
    done = without_torchaudio
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert (
        "forced alignment needs torchaudio" in done.stderr and "undefined symbol: aoti_torch" in done.stderr
    )
