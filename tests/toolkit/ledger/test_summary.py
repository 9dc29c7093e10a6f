"""The result of a ledger in words."""

from auralign.ledger.summary import describe_result


def test_the_sentence_names_the_method_that_recovers_most(ledger):
    assert "near recovers most of what reading gains over the floor (near 0.67, far 0.00)" in describe_result(
        ledger
    )


def test_the_sentence_says_what_the_wrong_answers_are(ledger):
    assert "far has 3, 67 % of them what was said, written down instead of obeyed" in describe_result(ledger)


def test_the_sentence_owns_up_to_a_lead_that_may_be_chance(corpus):
    methods = {
        "one": corpus.method("one", "111t1111", "--------"),
        "two": corpus.method("two", "1t1t1111", "--------"),
    }
    assert "but two may equal it (two - one in exact answers: " in describe_result(
        corpus.ledger(methods=methods)
    )


def test_the_sentence_does_without_a_recovery_that_is_undefined(corpus):
    methods = {"one": corpus.method("one", "1---1111", "11111111")}
    assert "recovery is undefined; exact answers: one 0.25" in describe_result(corpus.ledger(methods=methods))


def test_the_sentence_of_one_method_claims_no_victory(corpus):
    text = describe_result(corpus.ledger(methods={"one": corpus.method("one", "11111111", "--------")}))
    assert text == (
        "On unseen tasks, recovery of what reading gains over the floor: one 1.00. "
        "What the wrong answers are: one has none."
    )


def test_runs_of_a_method_are_one_result_and_of_many_methods_the_first_are_named(corpus):
    methods = {
        f"{name} seed_{seed}": corpus.method(f"{name}{seed}", marks, "--------")
        for name, marks in zip("abcdefg", ("11111111", *["1tt-1111"] * 6), strict=True)
        for seed in (1, 2)
    }
    text = describe_result(corpus.ledger(methods=methods))
    assert text.startswith(
        "On unseen tasks, a recovers most of what reading gains over the floor "
        "(a 1.00, b 0.25, c 0.25, d 0.25, e 0.25; 2 more: 0.25), but b may equal it (exact answers: 1.00 (no interval) and 0.25"
    )
    assert text.endswith(
        "a has none; b has 6, 67 % of them what was said, written down instead of obeyed; "
        + "; ".join(
            f"{name} has 6, 67 % of them what was said, written down instead of obeyed" for name in "cde"
        )
        + "."
    )
