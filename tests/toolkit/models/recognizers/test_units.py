"""Words and characters as the units of a CTC head."""

import pytest
import torch

from auralign.models.recognizers import Characters, CTCRecognizer

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", "H", "E", "L", "O", "S", "'"]


def spell(*tokens):
    """Frames of one letter each."""
    return torch.nn.functional.one_hot(torch.tensor([LETTERS.index(token) for token in tokens]), len(LETTERS))


def letters(**options):
    head = torch.nn.Linear(len(LETTERS), len(LETTERS))
    with torch.no_grad():
        head.weight.copy_(torch.eye(len(LETTERS)))
        head.bias.zero_()
    return CTCRecognizer(head, Characters(LETTERS, blank=0, special=LETTERS[:4], **options))


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (("H", "E", "E", "L", "<pad>", "L", "O"), "HELLO"),
        (("H", "E", "L", "L", "O"), "HELO"),
        (("|", "H", "E", "|", "<pad>", "|", "|", "O", "|"), "HE O"),
        (("<s>", "H", "<unk>", "O", "</s>"), "HO"),
        (("<pad>", "|", "<pad>"), ""),
    ],
)
def test_letters_are_read_as_words(tokens, text):
    frames = spell(*tokens)[None].float()
    assert letters().transcribe(frames, torch.tensor([len(tokens)])) == [text]


def test_capitals_are_read_in_lower_case_when_asked():
    frames = spell("H", "E", "|", "O")[None].float()
    assert letters(lowercase=True).transcribe(frames, torch.tensor([4])) == ["he o"]


def align_letters(text, *tokens):
    (found,) = letters().align(10 * spell(*tokens)[None].float(), torch.tensor([len(tokens)]), [text])
    return found


def test_a_word_spans_its_letters():
    said = ("<pad>", "H", "H", "E", "|", "H", "O", "<pad>", "O", "<pad>")
    assert align_letters("he, Hoo!", *said) == [("he,", 1, 4), ("Hoo!", 5, 9)]


def test_letters_that_are_no_tokens_are_left_out():
    assert align_letters("hé-E'S – ho", "H", "E", "'", "S", "|", "H", "O") == [
        ("hé-E'S", 0, 4),
        ("ho", 5, 7),
    ]
    assert align_letters("Oß O’s", "O", "S", "<pad>", "S", "|", "O", "'", "S") == [
        ("Oß", 0, 4),
        ("O’s", 5, 8),
    ]


def test_a_word_without_a_letter_that_is_a_token_is_unknown():
    assert letters().unknown_words("he 1990 – || ü") == ["1990", "ü"]
    assert align_letters("he 1990", "H", "E", "|", "O") is None


def test_letters_need_a_frame_each_and_one_between_words():
    said = ["H", "E", "|", "H", "O", "<pad>", "O"]
    assert align_letters("he hoo", *said) is not None
    assert align_letters("he hoo", *said[:6]) is None


def test_a_phrase_of_letters_is_found():
    said = ["O", "|", "H", "E", "<pad>", "|", "S", "O", "|", "H"]
    ((found,),) = letters().locate(10 * spell(*said)[None].float(), torch.tensor([10]), [["he so"]])
    assert found[:2] == (2, 8)


def test_letters_need_a_token_for_the_end_of_a_word():
    with pytest.raises(ValueError, match="no token '|' for the end of a word among a b"):
        Characters(["a", "b"], blank=0)
