import struct
from itertools import combinations

import pytest

from auralign.ledger.palette import HUES, families, method_colours, method_markers
from auralign.ledger.picture import draw_ledger, make_figure, overlapping_labels
from auralign.records import Question

METHODS = (
    "transcription sit sift blsp blsp_kd blsp_emo distillation mtbi self_powered diva wav2prompt acif "
    "internal_alignment"
).split()
SEEDS = [f"{method} seed_{seed}" for method in METHODS[:12] for seed in (1, 2, 3)]
GROUPS = "seen tasks,unseen tasks,unseen phrasings,commands in the speech,no instruction".split(",")


def many(make_corpus, methods, groups=GROUPS, marks="1tw-"):
    """A ledger of methods in groups of four questions, whose answers have all classes."""
    questions = [
        Question(f"{number}-{utt}", utt, group, "reverse", "reverse {speech}", f"right {utt}")
        for number, group in enumerate(groups)
        for utt in "abcd"
    ]
    corpus = make_corpus(questions)
    right = "1" * len(questions)
    return corpus.ledger(
        text=corpus.answers("text", right),
        transcript=corpus.answers("transcript", right.replace("1111", "111-")),
        methods={
            name: corpus.method(str(number), (marks[number % 4 :] + marks[: number % 4]) * len(groups), right)
            for number, name in enumerate(methods)
        },
    )


def test_the_picture_is_a_png_of_readme_width(ledger, tmp_path):
    draw_ledger(ledger, tmp_path / "ledger.png")
    content = (tmp_path / "ledger.png").read_bytes()
    assert (content[:8], struct.unpack(">I", content[16:20])) == (b"\x89PNG\r\n\x1a\n", (1200,))


def test_the_same_ledger_draws_the_same_bytes_and_nothing_else(ledger, tmp_path):
    for name in ("one.png", "two.png"):
        draw_ledger(ledger, tmp_path / "pictures" / name)
    one, two = sorted((tmp_path / "pictures").iterdir())
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("methods", "groups"),
    [
        (METHODS[:1], GROUPS[:1]),
        (METHODS[:3], GROUPS),
        (METHODS[:6], GROUPS[:2]),
        (METHODS, GROUPS),
        (SEEDS, GROUPS),
        (METHODS[:2], [f"a condition of a long name with the number {number}" for number in range(12)]),
        ([f"a_very_long_name_of_a_method_{'x' * 60}_{number}" for number in range(4)], GROUPS[:2]),
    ],
    ids=["one", "three", "six", "thirteen", "twelve with three seeds", "twelve groups", "long names"],
)
def test_no_labels_of_a_picture_overlap(make_corpus, methods, groups):
    assert overlapping_labels(make_figure(many(make_corpus, methods, groups))) == []


def test_a_picture_of_many_methods_has_readme_width_too(make_corpus, tmp_path):
    draw_ledger(many(make_corpus, SEEDS), tmp_path / "ledger.png")
    content = (tmp_path / "ledger.png").read_bytes()
    assert struct.unpack(">I", content[16:20]) == (1200,)


def test_overlapping_labels_are_found():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    for place, text in ((0.1, "one"), (0.11, "two"), (0.8, "three")):
        figure.text(place, 0.5, text)
    assert overlapping_labels(figure) == [("one", "two")]


def test_a_label_over_the_line_of_another_legend_is_found():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, name, place in ((left, "left", (0.9, 1)), (right, "right", (0, 1))):
        axes.plot([0, 1], label=name)
        axes.set_axis_off()
        axes.legend(handlelength=12, loc="upper left", bbox_to_anchor=place)
    assert overlapping_labels(figure) == [("legend of left", "legend of right")]


@pytest.mark.parametrize("methods", [METHODS, SEEDS, [f"method {number}" for number in range(40)]])
def test_no_two_methods_have_one_colour(methods):
    colours = method_colours(methods)
    assert list(colours) == list(methods)
    assert len({colour.lower() for colour in colours.values()}) == len(methods)


def test_thirteen_methods_have_a_marker_each():
    assert len(set(method_markers(METHODS).values())) == 13


def test_seeds_of_a_method_have_its_marker_and_shades_of_its_colour():
    assert families(SEEDS)["sift"] == ["sift seed_1", "sift seed_2", "sift seed_3"]
    markers, colours = method_markers(SEEDS), method_colours(SEEDS)
    assert len({markers[f"sift seed_{seed}"] for seed in (1, 2, 3)}) == 1
    assert colours["sift seed_1"] == HUES[2]


@pytest.mark.parametrize("matrix", ["deutan", "protan"])
def test_colour_blind_readers_see_methods_of_bars_apart(matrix):
    """Colours of up to six methods, as bars: by Machado et al. (2009), severity 1, they keep apart."""
    weights = {
        "protan": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
        "deutan": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    }[matrix]

    def seen(colour):
        linear = [(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
        mixed = [sum(w * part for w, part in zip(row, linear, strict=True)) for row in weights]
        return [max(0.0, min(1.0, part)) ** (1 / 2.2) for part in mixed]

    for one, other in combinations(map(seen, HUES[:6]), 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.1


def test_signs_of_formulas_in_names_are_drawn_as_they_are(make_corpus, tmp_path):
    draw_ledger(many(make_corpus, ["a$x_$b", "m"], ["$a_$b"]), tmp_path / "ledger.png")
    assert (tmp_path / "ledger.png").stat().st_size > 10_000
