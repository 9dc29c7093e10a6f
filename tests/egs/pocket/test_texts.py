"""The texts of the pocket model: what is held out never occurs in training."""

import random

import pytest
from local.texts import Grammar, keep_texts, key_of, make_texts, split_texts, words_of

from local import texts


@pytest.fixture(scope="module")
def splits():
    return make_texts(num_train=2_000, seed=3)


@pytest.mark.parametrize(
    "group", ["new combination", "new template", "new word", "new sentence of the LLM", "valid"]
)
def test_no_text_of_a_held_out_group_is_in_training(splits, group):
    trained = {tuple(words_of(text.words)) for text in splits["train"]}
    assert not [text for text in splits[group] if tuple(words_of(text.words)) in trained]


def test_held_out_words_are_in_no_training_text(splits):
    held_out = {word for words in Grammar().new_words.values() for one in words for word in words_of(one)}
    assert not held_out & {word for text in splits["train"] for word in words_of(text.words)}


def test_each_text_of_the_group_of_new_words_has_one(splits):
    new = {one for words in Grammar().new_words.values() for one in words}
    assert all(sum(filler in new for filler in text.fillers) == 1 for text in splits["new word"])


def test_thirty_words_are_held_out():
    assert sum(map(len, Grammar().new_words.values())) == 30


def test_held_out_templates_are_in_no_training_text(splits):
    assert not {text.template for text in splits["train"]} & set(Grammar().new_templates)


def test_a_seen_question_is_a_training_text(splits):
    assert set(splits["seen question"]) <= set(splits["train"])


def test_half_of_the_training_texts_are_the_llms(splits):
    assert sum(not text.template for text in splits["train"]) == 1_000


def test_the_vocabulary_is_within_its_bound(splits):
    assert (
        len({word for text in make_texts(num_train=12_000)["train"] for word in words_of(text.words)})
        <= texts.MAX_WORDS
    )


def test_texts_of_the_llm_that_come_again_come_in_part():
    lines = [" ".join(words_of(line)) for line in texts.LLM_TEXTS.read_text(encoding="utf-8").splitlines()]
    trained = [
        " ".join(words_of(text.words)) for text in make_texts(num_train=12_000)["train"] if not text.template
    ]
    parts = [text for text in trained if text not in set(lines)]
    assert len(trained) == 6_000
    assert len(parts) > 2_000
    assert all(any(part in line for line in lines) for part in random.Random(1).sample(parts, 50))


def test_a_part_is_some_words_in_a_row():
    parts = {
        texts.part_of(texts.Text("Why is it, my friend, so cold?"), random.Random(seed)).words
        for seed in range(400)
    }
    assert {"It, my friend, so cold.", "Why is it.", "Is it, my friend."} <= parts
    assert min(len(words_of(part)) for part in parts) == 3


def test_a_text_of_two_words_is_its_own_part():
    assert texts.part_of(texts.Text("Not yet!"), random.Random(1)).words == "Not yet."


def test_the_same_seed_gives_the_same_texts(splits):
    assert make_texts(num_train=2_000, seed=3) == splits


def test_too_many_texts_of_the_llm_are_refused():
    with pytest.raises(ValueError, match="give a smaller --num-train, at most"):
        make_texts(num_train=1_000_000)


def test_a_vowel_takes_an():
    text = Grammar().fill("What is a {animal}?", random.Random(0))
    assert text.words == f"What is {'an' if text.fillers[0][0] in 'aeiou' else 'a'} {text.fillers[0]}?"


def test_samples_with_the_same_content_words_are_kept_once():
    samples = ["What is the capital of France?", "The capital of France is what?", "Is the dog happy?"]
    assert keep_texts(samples, number=10) == [samples[0], samples[2]]


def test_samples_with_unknown_or_held_out_words_are_left_out():
    samples = ["The giraffe is happy."] + ["The dog is happy."]
    assert keep_texts(samples, number=10) == ["The dog is happy."]


@pytest.mark.parametrize(
    ("template", "fillers", "right"),
    [
        ("What is {number} times {number}?", ["three", "four"], {"12"}),
        ("What is {number} minus {number}?", ["nine", "two"], {"7", "seven"}),
        ("What is the capital of {country}?", ["Peru"], {"lima"}),
        ("What day comes after {day}?", ["Sunday"], {"monday"}),
        ("Tell me about {country}.", ["Peru"], set()),
    ],
)
def test_the_key_holds_the_right_answers(template, fillers, right):
    assert key_of({"template": template, "fillers": fillers}) == right


def test_sentences_of_a_file_are_in_one_split_each(tmp_path):
    lines = [f"sentence {number}" for number in range(300)]
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*lines, "", "sentence 7"]) + "\n")
    splits = split_texts(path, num_train=1000)
    assert {name: len(found) for name, found in splits.items()} == {
        "new sentence": 60,
        "valid": 120,
        "train": 120,
    }
    assert sorted(text.words for found in splits.values() for text in found) == sorted(lines)


def test_a_file_with_too_few_sentences_is_refused(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    with pytest.raises(ValueError, match="2 different lines; 180 are held out"):
        split_texts(path, num_train=1000)
