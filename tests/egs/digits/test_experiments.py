"""The registered experiments: their plan, arms and questions, what is compared, and a whole one on two dozen clips."""

import random
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import experiment_arms
import experiment_attributes
import experiment_bias
import experiment_contrasts
import experiment_page
import experiment_picture
import experiment_plan
import experiments
import instructions
from auralign.records import Utterance
from recipe import run

DIGITS = Path(__file__).parents[3] / "egs" / "digits"
CORPUS = Path(__file__).parents[2] / "fixtures" / "digits_corpus"


@pytest.fixture(scope="module")
def registered():
    return experiment_plan.read_registered(DIGITS / "experiments.yaml")


def utterance(text, name="u"):
    return Utterance(id=name, audio="a.flac", seconds=1.0, text=text, labels={"command": None})


# --- registration and plan


def test_no_experiment_has_the_name_of_a_yaml_of_a_method(registered):
    assert not {path.stem for path in (DIGITS / "hparams").glob("*.yaml")} & set(registered["experiments"])


def test_every_run_of_a_program_has_a_time_that_is_estimated(registered):
    for name, experiment in registered["experiments"].items():
        if experiment_plan.is_programmed(experiment):
            assert experiments.estimate(experiment_plan.plan(registered, name, num_llms=1), {}) > 0


def test_a_contrast_of_an_unknown_arm_is_refused(registered, tmp_path):
    path = tmp_path / "experiments.yaml"
    path.write_text((DIGITS / "experiments.yaml").read_text().replace("of: D - C,", "of: D - Z,"))
    with pytest.raises(ValueError, match="drift: no arm 'Z'; there are A, B, C, C_first, "):
        experiment_plan.read_registered(path)


def test_signs_of_an_interaction():
    assert experiment_plan.terms_of("D - E - B + A") == [(1, "D"), (-1, "E"), (-1, "B"), (1, "A")]


def test_the_primary_contrast_comes_first_with_one_connector_of_each_llm(registered):
    names = [run.name for run in experiment_plan.plan(registered, "drift", num_llms=2)]
    assert names[:8] == [
        "llm_1", "start/llm_1/connector_1", "drift/A/llm_1/connector_1", "drift/D/llm_1/connector_1",
        "llm_2", "start/llm_2/connector_1", "drift/A/llm_2/connector_1", "drift/D/llm_2/connector_1",
    ]  # fmt: skip
    assert len(names) == len(set(names)) == 2 + 2 * 2 + 2 * 2 * 6


def test_a_quick_run_has_one_llm_one_connector_and_three_arms(registered):
    names = [run.name for run in experiment_plan.plan(registered, "targets", quick=True)]
    assert names == ["llm_1", *(f"targets/{arm}/llm_1/connector_1" for arm in "CDA")]


def test_a_share_of_the_llms_and_connectors_has_all_arms(registered):
    names = [run.name for run in experiment_plan.plan(registered, "targets", num_llms=1, num_connectors=1)]
    assert names == ["llm_1", *(f"targets/{arm}/llm_1/connector_1" for arm in "CDAEGB")]


def test_the_cause_needs_the_connectors_of_drift(registered):
    names = [run.name for run in experiment_plan.plan(registered, "cause", quick=True)]
    assert names[-3:] == ["drift/A/llm_1/connector_1", "drift/D/llm_1/connector_1", "cause/llm_1/connector_1"]


def test_bias_tunes_the_llms_of_drift(registered):
    names = [run.name for run in experiment_plan.plan(registered, "bias", quick=True)]
    assert names[:2] == ["llm_1", "start/llm_1/connector_1"]
    assert names[2:] == [f"bias/{arm}/llm_1/connector_1" for arm in registered["experiments"]["bias"]["arms"]]


def test_attributes_have_an_llm_and_an_aligned_connector_of_their_own(registered):
    runs = experiment_plan.plan(registered, "attributes", num_llms=2)
    assert [(run.name, run.kind) for run in runs[:4]] == [
        ("attributes/llm_1", "told"),
        ("attributes/start/llm_1/connector_1", "start"),
        ("attributes/one_branch/llm_1/connector_1", "voice"),
        ("attributes/two_branches/llm_1/connector_1", "voice"),
    ]
    assert len(runs) == len({run.name for run in runs}) == 2 + 2 * 2 * 3


@pytest.mark.parametrize(
    ("name", "why"),
    [("signal", "'signal' is registered, and has no program yet"), ("sift", "'sift' is not registered")],
)
def test_what_cannot_be_run_is_refused_with_what_can(registered, name, why):
    with pytest.raises(ValueError, match=f"{why}; there are drift, targets, place, cause, bias, attributes"):
        experiment_plan.plan(registered, name)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--quick"], "--quick needs --experiment with a name in experiments.yaml"),
        (["--quick", "--experiment", "sift"], "--quick needs --experiment with a name in experiments.yaml"),
        (["--experiment", "drift", "--stop-stage", "1"], "has no stages after 1; leave out --stop-stage"),
    ],
)
def test_options_that_do_not_suit_an_experiment_are_refused(options, problem):
    done = subprocess.run(["bash", DIGITS / "run.sh", *options], capture_output=True, text=True)
    assert done.returncode == 2
    assert problem in done.stderr


# --- arms


@pytest.mark.parametrize(
    ("name", "licensed", "verb", "target"),
    [
        ("A", "write", None, "okay you gave me three five"),
        ("B", "write", "repeat", "i heard three five"),
        ("C", "write", "write", "three five"),
        ("C", "repeat", "repeat", "three five"),
        ("D", "write", "repeat", "three five"),
        ("D", "repeat", "write", "three five"),
        ("E", "write", None, "three five"),
        ("G", "write", "repeat", "in spanish it is tres cinco"),
    ],
)
def test_an_arm_asks_and_teaches_what_is_registered(registered, name, licensed, verb, target):
    arm = experiment_arms.Arm(**registered["arms"][name], licensed=licensed)

    class First(random.Random):
        def choice(self, found):
            return found[0]

    (choice,) = arm.choices(utterance("three five"), First())
    assert choice.instruction == (verb and f"{verb} {{speech}}")
    assert arm.given_response(utterance("three five"), choice) == target


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("D_first", "{speech} please note that"),
        ("D_last", "write {speech}"),
        ("C_first", "{speech} please say that again"),
    ],
)
def test_an_arm_of_a_place_has_the_speech_there_alone(registered, name, asked):
    arm, rng = experiment_arms.Arm(**registered["arms"][name], licensed="repeat"), random.Random(1)
    drawn = {choice.instruction for _ in range(30) for choice in arm.choices(utterance("three five"), rng)}
    assert drawn == {asked}


def test_a_quick_run_of_places_has_both_of_its_primary_contrast(registered):
    names = [run.name for run in experiment_plan.plan(registered, "place", quick=True)]
    assert names == ["llm_1", *(f"place/D_{place}/llm_1/connector_1" for place in ("first", "last"))]


def test_an_arm_that_asks_nothing_has_no_answer_of_its_own():
    with pytest.raises(ValueError, match="asks nothing"):
        experiment_arms.Arm(ask="nothing", teach="own", licensed="write")


@pytest.mark.parametrize(("licensed", "bare"), [("write", "write"), ("repeat", "repeat")])
def test_an_llm_learns_bare_words_for_one_of_two_requests(licensed, bare):
    rng = random.Random(1)
    asked = [instructions.draw_licensed(rng, licensed=licensed) for _ in range(2000)]
    verbatim = [request for request in asked if request.task == "repeat"]
    assert 0.2 < len(verbatim) / len(asked) < 0.4
    for request in verbatim:
        is_bare = request.phrasing in instructions.world.VERBATIM[bare]
        assert request.reference == ("" if is_bare else "i heard ") + " ".join(request.content)


def test_only_questions_that_tell_tasks_apart_are_asked():
    questions = experiment_arms.make_questions([utterance("three five nine two", "a")])
    assert {question.utt_id for question in questions} == {"a"}
    assert len({question.task for question in questions}) == 2
    # To sort gives what was said, and the largest is the last.
    for number in range(50):
        for question in experiment_arms.make_questions([utterance("three five nine", f"u{number}")]):
            assert question.task in ("reverse", "german", "continue", "even")


# --- arms of the programs


@pytest.mark.parametrize(("share", "targets"), [(0.0, {"okay you gave me two"}), (1.0, {"two"})])
def test_a_mixture_has_the_targets_of_its_arms(registered, share, targets):
    first, second = (experiment_arms.Arm(**registered["arms"][name], licensed="write") for name in "AD")
    mixed = experiment_bias.Mixed(first, second, share)
    choices = [
        choice for seed in range(20) for choice in mixed.choices(utterance("two"), random.Random(seed))
    ]
    assert {mixed.given_response(utterance("two"), choice) for choice in choices} == targets
    assert {choice.instruction is None for choice in choices} == {share == 0}


def test_a_half_mixture_has_both(registered):
    first, second = (experiment_arms.Arm(**registered["arms"][name], licensed="write") for name in "AD")
    mixed = experiment_bias.Mixed(first, second, 0.5)
    found = [next(mixed.choices(utterance("two"), random.Random(seed))) for seed in range(200)]
    assert 70 < sum(choice.options["second"] for choice in found) < 130


def test_an_llm_is_told_attributes_in_tags():
    rng = random.Random(1)
    drawn = [experiment_attributes.draw_told(rng) for _ in range(500)]
    replies = [one for one in drawn if one.told and one.reference.endswith(" voice")]
    asked = [one for one in drawn if one.task in experiment_attributes.ASKED]
    assert all(one.told for one in asked)
    assert {one.reference for one in asked if one.task == "pitch"} == {
        f"the pitch is {value}" for value in ("low", "medium", "high")
    }
    for one in replies:
        digits, (speed, pitch) = " ".join(one.content), one.told
        assert one.reference == f"okay you gave me {digits} in a {speed} and {pitch} voice"
    assert len(asked) > 80 and len(replies) > 80 and sum(one.told is None for one in drawn) > 80


def test_speech_of_two_branches_takes_the_slots_of_the_tags():
    from auralign.layout import Response, Speech, Text

    spoken = Utterance(
        id="u", audio="a.flac", seconds=1.0, text="two", attributes={"speed": "fast", "pitch": "low"}
    )
    two, one = (experiment_attributes.Voiced(has_branch) for has_branch in (True, False))
    target = Response(two.given_response(spoken, None))
    assert target.text == "okay you gave me two in a fast and low voice"
    assert two.layout(spoken, None, target).student.segments == (
        Text("<audio><meta>"),
        Speech("speed: fast, pitch: low", branch="voice", tag="attributes"),
        Text("</meta><text>"),
        Speech("two"),
        Text("</text></audio>"),
        target,
    )
    assert one.layout(spoken, None, target).student.segments == (Speech("two"), target)


# --- page


def row(kind, llm, connector, answers, *, experiment="", arm="", **facts):
    name = experiment_plan.Run("", kind, llm, connector, experiment, arm)
    environment = {
        "commit": "c" * 40,
        "hardware": "2 cores",
        "cpu_seconds": 3.0,
        "finished": "2026-01-01T00:00+00:00",
    }
    return {**vars(name), "answers": answers, **environment, **facts}


def registered_arms():
    return experiment_plan.read_registered(DIGITS / "experiments.yaml")["arms"]


def rows_of(num_llms, *, of_d="rvvo"):
    voices = ["f1", "f1", "m2", "m2"]
    found = {}
    for llm in range(1, num_llms + 1):
        audit = {arm: {"conflict": 0.0, "gap": 1.0} for arm in registered_arms()}
        found[f"llm_{llm}"] = row(
            "llm", llm, 0, {"text": "rrrr", "another text": "oooo", "cascade": "rrro"},
            voices=voices, audit=audit, licensed="write",
        )  # fmt: skip
        for arm, answers, content in (("A", "rrrr", [1, 1, 1, 1]), ("D", of_d, [1, 1, 1, 0])):
            course = [
                {"step": s, "loss": 2.0, "displacement": 0.5, "answers": answers, "content": content}
                for s in (15, 30, 60)
            ]
            found[f"drift/{arm}/{llm}"] = row(
                "arm", llm, 1, {arm: answers}, experiment="drift", arm=arm, content=content, course=course
            )
    return found


def test_a_difference_is_over_the_same_questions_and_named_a_direction_only(registered):
    page = experiment_page.render(registered, rows_of(2))
    assert "**Direction only**: 2 of 6 LLMs, 2 of 12 connectors." in page
    assert "| **primary** D - A | right | below 0 | -0.75 [-1.00, -0.50] | -0.75, -0.75 | 2 |" in page
    assert "| D - A | verbatim | above 0 | +0.50 | +0.50, +0.50 | 2 |" in page  # nothing varies
    assert "| D - A | content | about 0 | -0.25 [" in page
    assert "| D - C | right | below 0 | not run | | 0 |" in page
    assert "p = " not in page


def test_six_llms_have_a_p_value(registered):
    page = experiment_page.render(registered, rows_of(6, of_d="vvvv"))
    assert "p = 0.031 (Holm)" in page  # 2 / 2**6, as all six agree in everything


def test_a_correlation_is_over_all_models(registered):
    def of(llm, arm, flips, share):
        facts = {"flips": flips, "speech_share": share, "speech_share_per_edge": 0.5}
        return row("tuned", llm, 1, {arm: "rrrr"}, experiment="bias", arm=arm, **facts)

    # Ranks 1 2 3 of the one LLM agree; those of the other, 1 3 2, have 1 - 6 * 2 / (3 * 8) = 0.5.
    measured = {1: [(0.1, 0.3), (0.2, 0.4), (0.3, 0.5)], 2: [(0.1, 0.2), (0.2, 0.6), (0.3, 0.55)]}
    arms = ("tuned_on_A", "mixed_50", "tuned_on_D")
    rows = {
        f"{llm}-{arm}": of(llm, arm, *pair)
        for llm, pairs in measured.items()
        for arm, pair in zip(arms, pairs, strict=True)
    }
    page = experiment_page.render(registered, rows)
    assert "| +1.00 (3 models), +0.50 (3 models) | 2 |" in page
    assert "| mixed_50 | 1.00 | 0.00 | 0.00 | 0.00 | 0.20 | 0.50 | 0.50 | 2 |" in page


def test_the_audit_is_ranked_against_what_was_lost_of_obedience():
    # By gap the first LLM's sets are in the order of what is not right; the second's have one pair the other way round.
    right, gaps = {1: [0.9, 0.6, 0.1], 2: [0.8, 0.5, 0.2]}, {1: [0.0, 1.0, 3.0], 2: [0.5, 4.0, 2.0]}
    sets = {
        (llm, arm): ({"gap": gap, "tokens": 8.0 - gap}, share)
        for llm in right
        for arm, share, gap in zip("ACD", right[llm], gaps[llm], strict=True)
    }
    whole, without = experiment_contrasts.ranks_of_audit(sets)["gap"]
    # Ranks of not right: A1 1, A2 2, C1 3, C2 4, D2 5, D1 6; of gaps: A1 1, A2 2, C1 3, C2 6, D2 4, D1 5: 1 - 6 * 6 / (6 * 35).
    assert whole == pytest.approx(1 - 6 * (4 + 1 + 1) / 210)
    assert without == pytest.approx([0.5, 1.0])
    assert experiment_contrasts.ranks_of_audit(sets)["tokens"][0] == pytest.approx(-whole)


def test_the_page_shows_the_audit_beside_the_right_answers_and_no_coefficient_of_few_sets(registered):
    page = experiment_page.render(registered, rows_of(2))
    section = page[page.index("## audit") :]
    assert "| arm | conflict | gap | right after drift |" in section
    assert "| D | 0.00 | 1.00 | 0.25 |" in section
    assert "4 sets are too few for a coefficient." in section


def test_an_arm_has_its_own_rate_if_one_is_registered(registered, tmp_path, monkeypatch):
    import experiment_runs

    def train(*_, lr, **__):
        raise InterruptedError(lr)

    loaded = SimpleNamespace(
        model=SimpleNamespace(connector=SimpleNamespace(counts_tokens=True)),
        test=SimpleNamespace(utterances=[]),
        speak=lambda *_, **__: [torch.zeros(1)],
    )
    monkeypatch.setattr(experiment_runs, "train", train)
    monkeypatch.setattr(experiment_runs, "restore", lambda *_: None)
    monkeypatch.setattr(experiment_runs.Bench, "load", lambda *_: loaded)
    bench = experiment_runs.Bench(registered, folder=tmp_path, data=tmp_path)
    for arm, rate in (("D", "0.001"), ("D_slow", "0.0003")):
        with pytest.raises(InterruptedError, match=rate):
            bench.make(experiment_plan.Run("x", experiment_plan.ARM, 1, 1, "drift", arm))


def test_a_correlation_of_two_models_is_undefined():
    assert experiment_contrasts.correlate({}) == "| undefined (0 models) |  | 0 |"


def test_what_was_not_run_is_named(registered):
    page = experiment_page.render(registered, {})
    assert page.count("Not run.") == len(registered["experiments"])


def test_a_page_of_recordings_names_their_speakers_and_has_no_picture(registered):
    page = experiment_page.render(registered, rows_of(2), speech="recorded")
    assert page.startswith("# Results of the registered experiments, recorded speech\n")
    assert "in 2 recorded speakers that training lacks" in page
    assert experiment_page.PICTURE not in page


def test_an_experiment_on_what_recordings_lack_is_refused(capsys, monkeypatch):
    monkeypatch.chdir(DIGITS)
    with pytest.raises(SystemExit):
        experiments.main(["drift,attributes", "--speech", "recorded"])
    assert "--speech recorded: attributes needs labels that recordings lack" in capsys.readouterr().err


def test_runs_on_recordings_hear_through_their_own_encoder(registered, monkeypatch):
    import experiment_runs
    from auralign import steps

    asked = {}

    def open_run(yaml, overrides):
        asked.update(overrides)
        raise InterruptedError

    monkeypatch.setattr(steps.RunFolder, "open", open_run)
    place = experiments.PLACES["recorded"]
    bench = experiment_runs.Bench(registered, folder=place.folder, data=place.data, encoder=place.encoder)
    with pytest.raises(InterruptedError):
        bench.load(experiment_plan.Run("llm_1", experiment_plan.LLM, 1), "drift")
    assert asked["encoder_folder"] == "exp/recorded/models/encoder"
    assert asked["data_folder"] == "data/recorded"


def test_a_page_of_more_runs_is_kept(registered, tmp_path):
    path = tmp_path / "RESULTS.md"
    assert experiment_page.publish(path, experiment_page.render(registered, rows_of(2)))
    assert not experiment_page.publish(path, experiment_page.render(registered, rows_of(1)))
    assert "2 of 6 LLMs" in path.read_text()


def test_the_picture_shows_what_the_tables_of_arms_have():
    page = """## drift

| arm | asked | right | loss | moved | runs |
|---|---|--:|--:|--:|--:|
| A | nothing | 0.76 | 0.07 | 0.47 | 6 |
| B | nothing | not run | | | 0 |

| arm | 15 | 30 |
|---|---|---|
| A | 0.70 | 0.76 |

## bias

| arm | right | flips |
|---|--:|--:|
| A | 0.75 | 0.00 |
"""
    assert list(experiment_picture.read_panels(page)) == [
        ("drift", "moved", {"A": (0.47, 0.76)}),
        ("drift", "loss", {"A": (0.07, 0.76)}),
    ]


def test_a_page_with_arms_has_their_picture_beside_it(registered, tmp_path):
    without, path = tmp_path / "without" / "RESULTS.md", tmp_path / "RESULTS.md"
    without.parent.mkdir()
    experiment_page.publish(without, experiment_page.render(registered, {}))
    experiment_page.publish(path, experiment_page.render(registered, rows_of(2)))
    assert "obedience.png" not in without.read_text() and not without.with_name("obedience.png").exists()
    assert "](obedience.png)" in path.read_text()
    assert path.with_name("obedience.png").read_bytes().startswith(b"\x89PNG")


def test_the_estimate_uses_what_was_measured(registered):
    runs = experiment_plan.plan(registered, "drift", quick=True)  # an LLM, a start and three arms
    guessed = experiments.SECONDS
    others = guessed["llm"] + guessed["start"]
    assert experiments.estimate(runs, {}) == others + 3 * guessed["drift"]
    rows = {runs[2].name: {"experiment": "drift", "kind": "arm", "cpu_seconds": 7.0}}
    assert experiments.estimate(runs, rows) == others + 2 * 7.0


# --- runs


def test_what_was_registered_is_not_changed_after_a_run(registered, tmp_path):
    rows = rows_of(1)
    experiments.keep_registered(registered, {}, tmp_path)
    changed = yaml.safe_load(yaml.safe_dump(registered))
    changed["experiments"]["targets"]["num_steps"] = 9  # has no run yet
    changed["experiments"]["another"] = {"question": "?", "arms": ["Z"]}
    changed["arms"]["Z"] = {"ask": "nothing", "teach": "bare"}
    changed["arms"]["B"] = {"ask": "nothing", "teach": "default"}  # of targets alone
    experiments.keep_registered(changed, rows, tmp_path)
    changed["experiments"]["drift"]["contrasts"][0]["expected"] = "above 0"
    with pytest.raises(ValueError, match="experiments.yaml: drift was changed after the runs"):
        experiments.keep_registered(changed, rows, tmp_path)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda found: found["arms"]["D"].update(teach="spanish"), "arms"),
        # which reads the runs of drift
        (lambda found: found["experiments"]["audit"].update(contrasts=[]), "audit"),
        (lambda found: found["experiments"].pop("drift"), "drift"),
    ],
)
def test_what_runs_were_made_or_are_read_with_is_not_changed_after_them(registered, tmp_path, change, name):
    experiments.keep_registered(registered, {}, tmp_path)
    changed = yaml.safe_load(yaml.safe_dump(registered))
    change(changed)
    with pytest.raises(ValueError, match=f"experiments.yaml: .*{name}.* was changed after the runs"):
        experiments.keep_registered(changed, rows_of(1), tmp_path)


def test_an_experiment_is_complete_with_all_of_its_arms(registered):
    rows = rows_of(6)
    for name, one in list(rows.items()):
        if one["kind"] == "arm":
            rows[f"{name}/2"] = {**one, "connector_seed": 2}
    assert "**Some arms**: 6 of 6 LLMs, 12 of 12 connectors." in experiment_page.render(registered, rows)
    for name, one in list(rows.items()):
        if one["kind"] == "arm" and one["arm"] == "D":
            for arm in ("C", "D_slow", "E", "G"):
                course = [{**look, "answers": "oooo"} for look in one["course"]]
                rows[f"{name}/{arm}"] = {**one, "arm": arm, "answers": {arm: "oooo"}, "course": course}
    assert "Complete: 6 of 6 LLMs, 12 of 12 connectors." in experiment_page.render(registered, rows)


def test_a_page_has_llms_that_were_audited_before_an_arm_was_added(registered):
    rows = rows_of(2)
    for one in rows.values():
        one.get("audit", {}).pop("D_slow", None)
    assert "| D_slow | unlicensed | bare | - | - | not run |" in experiment_page.render(registered, rows)


def test_the_distance_of_each_look_is_shown(registered):
    page = experiment_page.render(registered, rows_of(2))
    assert "| A | 1.00 / 0.00 / 1.00, 0.50 |" in page
    assert (
        "At the first look at which D has moved at least as far as A at its end (step 15 to 15), it has 0.25 right; 2 runs."
        in page
    )


def test_the_tracked_pages_have_every_registered_experiment(registered):
    for page in ("RESULTS.md", "RESULTS.recorded.md"):
        text = (DIGITS / page).read_text(encoding="utf-8")
        assert [name for name in registered["experiments"] if f"\n## {name}\n" not in text] == []


def test_an_experiment_on_two_dozen_clips_is_made_once(registered, tmp_path, monkeypatch):
    import experiment_runs

    monkeypatch.chdir(DIGITS)
    data, folder = tmp_path / "data", tmp_path / "runs"
    assert run("prepare.py", "--corpus", str(CORPUS), "--output", str(data))[0] == 0
    folder.mkdir()
    (folder / "llm_1").symlink_to(DIGITS / "models" / "llm")
    small = yaml.safe_load(yaml.safe_dump(registered))
    small["experiments"]["drift"] |= {
        "num_steps": 2,
        "utts_per_step": 4,
        "look_at": [1, 2],
        "arms": ["A", "D"],
    }
    small["aligned"] |= {"num_steps": 2, "utts_per_step": 4}
    place = experiments.Place("synthetic", folder, data, tmp_path / "RESULTS.md")
    runs = experiment_plan.plan(small, "cause", quick=True)
    experiments.run_all(runs, command="x", registered=small, place=place)
    rows = experiments.read_rows(folder)
    assert set(rows) == {run.name for run in runs}
    trained = rows["drift/D/llm_1/connector_1"]
    assert [look["step"] for look in trained["course"]] == [1, 2]
    assert trained["course"][1]["displacement"] > 0
    assert (
        rows["llm_1"]["audit"]["A"]["gap"] < 0.1 < 1 < rows["llm_1"]["audit"]["E"]["gap"]
    )  # its own reply, and bare digits
    assert [rows["llm_1"]["audit"][arm]["conflict"] > 0.9 for arm in "ADE"] == [False, True, False]
    assert rows["llm_1"]["audit"]["E"]["overlap"] == 1.0
    assert len(trained["counted"]) == len(trained["content"]) == len(trained["answers"]["D"])
    assert rows["cause/llm_1/connector_1"]["answers"]["text"] == rows["llm_1"]["answers"]["text"]
    monkeypatch.setattr(experiment_runs.Bench, "make", None)
    experiments.run_all(runs, command="x", registered=small, place=place)  # nothing is left to make


@pytest.mark.parametrize("name", ["bias", "attributes"])
def test_a_program_on_two_dozen_clips_gives_its_measures(registered, tmp_path, monkeypatch, name):
    monkeypatch.chdir(DIGITS)
    data, folder = tmp_path / "data", tmp_path / "runs"
    assert run("prepare.py", "--corpus", str(CORPUS), "--output", str(data))[0] == 0
    folder.mkdir()
    (folder / "llm_1").symlink_to(DIGITS / "models" / "llm")
    small = yaml.safe_load(yaml.safe_dump(registered))
    how = small["experiments"][name]
    how |= {"num_steps": 2, "utts_per_step": 4}
    if name == "bias":
        how |= {"num_probed": 2, "arms": ["tuned_on_D"]}
    else:
        how["llm"] |= {"num_steps": 1, "examples_per_step": 4}
    small["aligned"] |= {"num_steps": 2, "utts_per_step": 4}
    place = experiments.Place("synthetic", folder, data, tmp_path / "RESULTS.md")
    runs = experiment_plan.plan(small, name, quick=True)
    experiments.run_all(runs, command="x", registered=small, place=place)
    rows = experiments.read_rows(folder)
    assert set(rows) == {run.name for run in runs}
    if name == "bias":
        tuned = rows["bias/tuned_on_D/llm_1/connector_1"]
        assert 0 < tuned["speech_share"] < 1 and 0 < tuned["speech_share_per_edge"] < 1
        assert tuned["num_probed"] == 2
        assert tuned["flips"] is not None
    else:
        num_questions = len(rows["attributes/llm_1"]["answers"]["text"])
        for arm in ("one_branch", "two_branches"):
            found = rows[f"attributes/{arm}/llm_1/connector_1"]
            assert len(found["answers"][arm]) == len(found["attributes"]) == num_questions > 0
            assert set(found["attributes"]) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert f"| {runs[-1].arm} |" in (tmp_path / "RESULTS.md").read_text()
