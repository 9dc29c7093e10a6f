"""Loss and connector apart: which token each stacked embedding is to be, and what the four cells need."""

from random import Random
from types import SimpleNamespace

import pytest
import torch

import experiment_cells
from auralign.layout import STUDENT, TEACHER
from auralign.records import Utterance

WORDS = (("three", 0.2, 0.4), ("five", 0.5, 1.0))
UTTERANCE = Utterance("u", "u.flac", 1.0, "three five", words=WORDS)


def test_the_embedding_in_the_middle_of_a_word_is_matched_with_its_token_and_the_others_with_a_pause():
    method = experiment_cells.MatchedStacks(pause=7, seconds=0.25)
    (choice,) = method.choices(UTTERANCE, Random(0))
    assert choice.options["middles"] == pytest.approx([0.3, 0.75])
    heard = torch.tensor([[1.0, 0.0], [5.0, 1.0], [1.0, 3.0], [9.0, 9.0]])  # 0.25 s each
    read = torch.tensor([[5.0, 0.0], [9.0, 5.0]])  # the second embedding is "three", the last one "five"
    embed = {(7,): torch.tensor([[1.0, 1.0]])}
    views = {
        STUDENT: SimpleNamespace(
            each=lambda *_: [heard],
            choices=(choice,),
            llm=SimpleNamespace(embed=lambda ids: embed[tuple(ids)]),
        ),
        TEACHER: SimpleNamespace(each=lambda *_: [read]),
    }
    term = method.loss(views)["embedding"]
    assert float(term.sum) == (0 + 1) + (0 + 1) + (0 + 4) + (0 + 16)
    assert term.unit == "read speech"


@pytest.mark.parametrize(
    ("loss", "connector", "counts", "runs_llm"),
    [
        ("answer", "stacked", False, True),
        ("answer", "counted", True, True),
        ("matched", "stacked", False, False),
        ("matched", "counted", True, False),
    ],
)
def test_a_cell_has_the_loss_of_its_row_and_the_connector_of_its_column(loss, connector, counts, runs_llm):
    tokenizer = SimpleNamespace(convert_tokens_to_ids=lambda _: 7)
    method, views = experiment_cells.method_of(loss, connector, tokenizer)
    assert method.needs.num_tokens == counts
    assert bool(method.needs.llm_views) == runs_llm
    assert (TEACHER in views) == (loss == "matched")


def test_a_word_behind_the_last_whole_embedding_is_matched_with_it():
    method = experiment_cells.MatchedStacks(pause=7, seconds=0.3)
    (choice,) = method.choices(UTTERANCE, Random(0))
    heard, read = torch.zeros(2, 1), torch.tensor([[1.0], [3.0]])
    views = {
        STUDENT: SimpleNamespace(
            each=lambda *_: [heard],
            choices=(choice,),
            llm=SimpleNamespace(embed=lambda ids: torch.zeros(1, 1)),
        ),
        TEACHER: SimpleNamespace(each=lambda *_: [read]),
    }
    # 0.3 s is in the second embedding, 0.75 s behind it: "five" takes its place
    assert float(method.loss(views)["embedding"].sum) == 9.0
