"""What the keys keep, mixture, sampling and order take, and what they say of what they do not take."""

import pytest

from auralign.recipe import RecipeError, load_recipe
from auralign.recipe.draws import Draws, facts_of
from auralign.records import Choice, Target, Utterance
from recipe import make_recipe

UTTERANCE = Utterance(
    "a", "a.flac", 1.5, "x", language="de", speaker="s", attributes={"age": 30}, labels={"snr": 12.5}
)


def target(task):
    return Target("k", "a", Choice(task), "x", "stop", "m", "1", "l", "r", "f", "p", {}, 1)


def test_facts_are_labels_attributes_and_what_the_records_say():
    assert facts_of(UTTERANCE, target("sort")) == {
        "task": "sort", "language": "de", "speaker": "s", "seconds": 1.5, "age": 30, "snr": 12.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "keep, facts, why",
    [
        ({"snr": [15, None]}, {"snr": 15}, None),
        ({"snr": [15, None]}, {"snr": 14.9}, "snr outside 15 to any"),
        ({"year": [2015, 2019]}, {"year": 2020}, "year outside 2015 to 2019"),
        ({"snr": [0, None]}, {"snr": 0}, None),
        ({"snr": [15, None]}, {}, "no snr is known"),
        ({"licence": "cc0"}, {"licence": "cc0"}, None),
        ({"licence": "cc0"}, {"licence": "own"}, "licence is not cc0"),
    ],
)
def test_keep_says_why_an_example_is_left_out(keep, facts, why):
    found = Draws(keep=keep).why_not(facts)
    assert (found and found[0]) == why


def test_temperature_flattens_shares_and_alpha_is_its_inverse():
    positions = {"language=en": 900, "language=de": 100}
    by_temperature = Draws(sampling={"by": "language", "temperature": 2}).shares(positions)
    assert by_temperature == pytest.approx({"language=en": 0.75, "language=de": 0.25})  # 30 to 10
    assert Draws(sampling={"by": "language", "alpha": 0.5}).shares(positions) == by_temperature
    assert Draws(sampling={"by": "language", "alpha": 0}).shares(positions)["language=de"] == 0.5
    assert Draws(sampling={"by": "language", "temperature": 1}).shares(positions)["language=de"] == 0.1


def test_an_example_belongs_to_the_first_part_that_fits():
    draws = Draws(
        mixture=[
            {"where": {"task": ["sort", "reverse"], "language": "de"}, "share": 0.5},
            {"where": {"task": "sort"}, "share": 0.3},
            {"share": 0.2},
        ]
    )
    assert draws.part_of({"task": "reverse", "language": "de"}) == "task=sort|reverse, language=de"
    assert draws.part_of({"task": "sort", "language": "en"}) == "task=sort"
    assert draws.part_of({"task": "reverse", "language": "en"}) == "the rest"


@pytest.mark.parametrize(
    "keys, said",
    [
        ("keep: {snr: [20, 15]}", "the lowest is above the highest"),
        ("keep: {snr: [15]}", r"give \[lowest, highest\]"),
        ("keep: {snr: [low, high]}", r"give \[lowest, highest\]"),
        ("keep: {snr: [.nan, null]}", r"give \[lowest, highest\]"),
        ("keep: {licence: null}", "keep: licence: null: give"),
        ("mixture: [{share: 0}, {where: {task: a}, share: 1}]", "must be a number above 0"),
        ("mixture: [{share: .nan}]", "must be a number above 0"),
        ("sampling: {by: [language], alpha: 1}", "either `temperature` or `alpha`"),
        ("sampling: {by: language, temperature: .nan}", "must be a number above 0"),
        ("sampling: {by: language, temperature: .inf}", "must be a number above 0"),
        ("mixture: [{where: {task: a}, share: 0.5}, {share: 0.4}]", "add up to 0.9"),
        ("mixture: [{where: {task: a}}]", "give a part as"),
        ("mixture: [{share: 0.5}, {share: 0.5}]", "two parts are 'the rest'"),
        ("mixture: [{where: {task: a}, share: -1}]", "must be a number above 0"),
        ("mixture: [{where: a, share: 1}]", "where is 'a'"),
        ("mixture: [{share: 1, wher: {}}]", "give a part as"),
        ("sampling: {by: language}", "either `temperature` or `alpha`"),
        ("sampling: {by: language, temperature: 0}", "must be a number above 0"),
        ("sampling: {by: language, alpha: -1}", "at least 0"),
        ("mixture: [{share: 1}]\nsampling: {by: language, alpha: 1}", "give one of the two"),
        ("order: random", "use shuffled or kept"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_file(keys, said, tmp_path):
    folder = make_recipe(tmp_path / "r", llm="llm", encoder="encoder", more=f"{keys}\n")
    with pytest.raises(RecipeError, match=said) as error:
        load_recipe(folder / "hparams" / "sift.yaml")
    assert "sift.yaml" in str(error.value)


def test_a_fact_that_no_example_has_is_named_with_the_nearest():
    for draws in (
        Draws(keep={"snrr": [1, 2]}),
        Draws(mixture=[{"where": {"snrr": 1}, "share": 1}]),
        Draws(sampling={"by": "snrr", "alpha": 1}),
    ):
        with pytest.raises(ValueError, match="no training example has 'snrr'; did you mean 'snr'"):
            draws.check_names(["snr", "task"])


def test_a_label_of_letters_has_no_bounds():
    with pytest.raises(ValueError, match="year is '2015', which is no number"):
        Draws(keep={"year": [2010, 2020]}).why_not({"year": "2015"})


def test_a_part_of_the_mixture_without_examples_is_named():
    draws = Draws(mixture=[{"where": {"task": "sort"}, "share": 0.5}, {"share": 0.5}])
    with pytest.raises(
        ValueError, match=r"no example is 'task=sort'; the training set has \{'the rest': 9\}"
    ):
        draws.shares({"the rest": 9})


@pytest.mark.parametrize("power", [{"temperature": 1e-3}, {"alpha": 1e6}])
def test_a_temperature_that_leaves_a_part_nothing_is_refused(power):
    """The smallest share was 0, by which positions were divided."""
    draws = Draws(sampling={"by": "language", **power})
    with pytest.raises(ValueError, match="leaves 'language=de' a share of 0 of 1000 LLM positions"):
        draws.shares({"language=en": 900, "language=de": 100})
    assert draws.shares({"language=en": 900}) == {"language=en": 1.0}


def test_what_a_record_does_not_say_is_no_fact():
    bare = Utterance("a", "a.flac", 1.5, "x")
    assert facts_of(bare, target("")) == {"seconds": 1.5}
    assert Draws(sampling={"by": "language", "alpha": 1}).why_not(facts_of(bare, target("t"))) == (
        "no language is known", "",
    )  # fmt: skip
