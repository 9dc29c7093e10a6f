"""Manifests of lhotse's cuts give an utterance for each supervision."""

import pytest

from auralign.data.sources import guess_form, read_source
from auralign.records import RecordError


def test_a_lhotse_manifest_of_cuts(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav")
    supervisions = [
        lhotse.SupervisionSegment("s1", recording.id, 0.1, 0.2, text="three", speaker="k", language="en"),
        lhotse.SupervisionSegment(
            "s2", recording.id, 0.3, 0.1, text="five", custom={"texts": ["Five.", "x"]}
        ),
    ]
    cut = lhotse.MonoCut("c", 0.0, 0.5, 0, supervisions=supervisions, recording=recording)
    lhotse.CutSet.from_cuts([cut]).to_file(clips / "cuts.jsonl.gz")
    assert guess_form(clips / "cuts.jsonl.gz") == "lhotse"
    first, second = read_source(clips / "cuts.jsonl.gz")
    assert (first.id, first.text, first.speaker, first.language) == ("s1", "three", "k", "en")
    assert (second.start, second.seconds) == (0.3, 0.1)
    assert first.audio == str(clips / "a.wav")


def test_cuts_that_are_changed_on_reading_are_refused(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav").perturb_speed(2.0)
    supervision = lhotse.SupervisionSegment("s", recording.id, 0.0, 0.2, text="three")
    cut = lhotse.MonoCut("c", 0.0, 0.25, 0, supervisions=[supervision], recording=recording)
    lhotse.CutSet.from_cuts([cut]).to_file(clips / "cuts.jsonl.gz")
    with pytest.raises(RecordError, match=r"cuts.jsonl.gz: cut c: .*save_audios"):
        list(read_source(clips / "cuts.jsonl.gz"))


def test_a_cut_without_text_is_not_lost(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav")
    lhotse.CutSet.from_cuts([lhotse.MonoCut("c", 0.0, 0.5, 0, recording=recording)]).to_file(
        clips / "cuts.jsonl.gz"
    )
    assert [(u.id, u.text, u.seconds) for u in read_source(clips / "cuts.jsonl.gz")] == [("c", "", 0.5)]


def test_a_supervision_of_two_cuts_is_one_utterance(clips):
    import lhotse

    recording = lhotse.Recording.from_file(clips / "a.wav")
    supervision = lhotse.SupervisionSegment("s", recording.id, 0.1, 0.2, text="three")
    cut = lhotse.MonoCut("c", 0.0, 0.5, 0, supervisions=[supervision], recording=recording)
    lhotse.CutSet.from_cuts([*lhotse.CutSet.from_cuts([cut]).cut_into_windows(0.25)]).to_file(
        clips / "cuts.jsonl.gz"
    )
    first, second = read_source(clips / "cuts.jsonl.gz")
    assert (first.id, first.start, first.seconds) == ("s", pytest.approx(0.1), 0.2)
    assert second.reason == "the same row twice"
