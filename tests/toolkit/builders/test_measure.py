"""Labels of rows, against values computed by hand or published."""

import numpy as np
import pytest
import soundfile

from auralign.builders import Measure, build
from auralign.builders.builder import account_path
from auralign.builders.snr import wada_snr, wada_table
from auralign.cli import run
from auralign.data.rejected import rejected_path
from auralign.files import read_json
from auralign.records import Records, Utterance, write_records
from auralign.text.language import guess_language


@pytest.mark.parametrize(
    ("ratio", "value"),  # of the table that the authors published (Kim and Stern, 2008), drawn by simulation
    [
        (-20, 0.40974774),
        (-10, 0.41231718),
        (0, 0.46221153),
        (10, 0.66750818),
        (20, 0.95655449),
        (40, 1.3605727),
    ],
)
def test_the_curve_is_the_published_one(ratio, value):
    ratios, values = wada_table()
    assert np.interp(ratio, ratios, values) == pytest.approx(value, abs=0.004)


def test_the_curve_begins_at_noise_alone():
    # Of a normal variable, E|z| is sqrt(2 / pi) and E ln|z| is -(Euler's constant + ln 2) / 2.
    noise = np.log(np.sqrt(2 / np.pi)) + (np.euler_gamma + np.log(2)) / 2
    assert wada_table()[1][0] == pytest.approx(noise, abs=1e-4)


@pytest.mark.parametrize("ratio", [0, 15, 30])
def test_the_ratio_of_speech_like_samples_in_noise_is_found(ratio):
    rng = np.random.default_rng(ratio)
    speech = rng.gamma(0.4, 1, 200_000) * rng.choice([-1, 1], 200_000)
    noise = rng.standard_normal(200_000) * np.sqrt(0.56 / 10 ** (ratio / 10))
    assert wada_snr(0.01 * (speech + noise)) == pytest.approx(ratio, abs=0.5)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat sat on the mat.", "en"),
        ("Wo ist der Bahnhof?", "de"),
        ("今日は天気です", "ja"),
        ("今天天气很好", "zh"),
        ("안녕하세요", "ko"),
        ("three five nine", None),
        ("die is", None),
        ("", None),
    ],
)
def test_the_language_of_a_text(text, language):
    assert guess_language(text) == language


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The rows of a manifest that was measured, with its account and the manifest's path."""
    folder = tmp_path_factory.mktemp("corpus")
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    samples[:160] = 1.0  # a hundredth is at full scale
    soundfile.write(folder / "clipped.wav", samples, 16_000, subtype="FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(32_000), 16_000)
    (folder / "broken.wav").write_bytes(b"nothing")
    rows = [
        Utterance("clipped", "clipped.wav", 1.0, "Is it the one?", labels={"year": 2010, "snr": 99}),
        Utterance("silent", "silent.wav", 2.0, "..."),
        Utterance("document", "", 0.0, "Das ist es."),
        Utterance("short", "clipped.wav", 0.9, "Is it the one?"),
        Utterance("broken", "broken.wav", 1.0, "one"),
    ]
    write_records(folder / "train.jsonl", rows, kind=Utterance)
    (folder / "my_labels.py").write_text(
        "def length(utterance, samples):\n    return len(samples)\n\ndef bad(utterance, samples):\n    return float('nan')\n"
    )
    output = folder / "out" / "train.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        build(Measure({"length": "my_labels:length"}), folder / "train.jsonl", output, max_rejected=0.25)
    return {row.id: row.labels for row in Records(output, Utterance)}, output


def test_labels_are_added_to_those_of_the_row(measured):
    labels = measured[0]["clipped"]
    assert labels["year"] == 2010
    assert labels["clipping"] == 0.01
    assert labels["seconds_per_word"] == 0.25
    assert labels["language_id"] == "en"
    assert labels["length"] == 16_000
    assert -20 <= labels["snr"] < 20  # replaced, and counted


def test_what_is_not_known_gets_no_label_and_is_counted(measured):
    labels, output = measured
    assert labels["silent"] == {"clipping": 0.0, "length": 32_000}
    assert labels["document"] == {"language_id": "de", "length": 0}
    assert "snr" not in labels["short"]  # too few amplitudes below a second
    notes = read_json(account_path(output))["notes"]
    assert notes == {
        "without a known language_id": 1,
        "without a known snr": 2,
        "without a known seconds_per_word": 1,
        "whose label snr was replaced": 1,
    }


def test_unreadable_audio_is_listed(measured):
    labels, output = measured
    assert "broken" not in labels
    assert '"id": "broken", "reason": "bad audio"' in rejected_path(output).read_text()


def test_a_function_that_fails_names_itself_and_the_row(tmp_path, measured, monkeypatch):
    monkeypatch.syspath_prepend(measured[1].parent.parent)
    arguments = [
        "--manifest",
        str(measured[1].parent.parent / "train.jsonl"),
        "--output",
        str(tmp_path / "m.jsonl"),
    ]
    with pytest.raises(ValueError, match="--label odd: the function failed for 'clipped': ValueError"):
        run(["build", "measure", *arguments, "--label", "odd=my_labels:bad"])
