"""How many items may be rejected, and how they are listed."""

import json

import pytest

from auralign.data.rejected import Rejected, TooManyRejectedError


@pytest.mark.parametrize(
    ("num_good", "num_bad", "limit", "stops"),
    [
        (28, 1, 0.01, False),  # one bad clip of 29
        (9, 3, 0.01, False),
        (8, 3, 0.01, True),  # more than a quarter
        (2, 1, 0.01, True),
        (36, 4, 0.01, True),  # more than three, and more than the share
        (36, 4, 0.1, False),
        (28, 1, 0.0, True),  # none, as told
    ],
)
def test_a_few_may_be_rejected_before_the_share_counts(tmp_path, num_good, num_bad, limit, stops):
    rejected = Rejected(limit=limit)
    for number in range(num_bad):
        rejected.add(str(number), "bad audio")
    if stops:
        with pytest.raises(TooManyRejectedError, match=f"{num_bad} of {num_good + num_bad} rejected"):
            rejected.write(tmp_path / "r.jsonl", num_kept=num_good)
    else:
        rejected.write(tmp_path / "r.jsonl", num_kept=num_good)
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == num_bad


def test_an_answer_that_loops_is_listed_whole_and_told_in_part(tmp_path):
    rejected = Rejected(limit=0.0)
    rejected.add("a", "looping", "again " * 5_000)
    with pytest.raises(
        TooManyRejectedError, match=r"the first is a \(again again .*\(30000 letters\)\)"
    ) as caught:
        rejected.write(tmp_path / "r.jsonl", num_kept=9)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    assert json.loads((tmp_path / "r.jsonl").read_text())["detail"] == "again " * 5_000


def test_the_list_of_a_finished_run_stays_when_a_later_one_is_stopped(tmp_path):
    path, stopped = tmp_path / "r.jsonl", tmp_path / "r.stopped.jsonl"
    for id_, limit in (("first", 1), ("second", 0), ("third", 1)):
        rejected = Rejected(limit=limit)
        rejected.add(id_, "silent")
        if limit:
            rejected.write(path, num_kept=9)
            assert id_ in path.read_text()
            assert not stopped.exists()
        else:
            with pytest.raises(TooManyRejectedError, match=r"reasons in .*r\.stopped\.jsonl"):
                rejected.write(path, num_kept=9)
            assert "first" in path.read_text()
            assert "second" in stopped.read_text()
