"""Parquet files, saved datasets and datasets of the hub: splits, audio inside, and what cannot be loaded."""

import pytest

from auralign.data.sources import hub_name, read_source
from auralign.records import RecordError
from source_forms import LABELLED, ROWS, expected, write_form


def test_audio_inside_a_dataset_is_written_out(clips, tmp_path):
    import datasets

    content = (clips / "a.wav").read_bytes()
    rows = [{"audio": {"bytes": content, "path": "deep/a.wav"}, "path": "a.wav", "sentence": "one"}]
    data = datasets.Dataset.from_list(rows).cast_column("audio", datasets.Audio(decode=False))
    data.save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "t.parquet")
    for source in ("saved", "t.parquet"):
        (utterance,) = read_source(tmp_path / source, audio_out=tmp_path / "out")
        assert utterance.audio == str(tmp_path / "out" / "00000000.wav")
        assert (tmp_path / "out" / "00000000.wav").read_bytes() == content


def test_a_dataset_with_several_splits_asks_which(tmp_path):
    import datasets

    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": data, "test": data.select([1])}).save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet")
    data.select([1]).to_parquet(tmp_path / "hub" / "data" / "test-00000-of-00001.parquet")
    for source in ("saved", "hub"):
        assert [u.id for u in read_source(tmp_path / source, split="test")] == ["u2"]
        with pytest.raises(ValueError, match=r"has the splits .*train.*; choose: --split NAME"):
            list(read_source(tmp_path / source))


def test_a_cut_parquet_file_is_named(tmp_path):
    path = write_form(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"t.parquet: cannot be read after 0 rows"):
        list(read_source(path))


def test_splits_are_known_by_the_folder_where_files_are_numbered(tmp_path):
    import datasets

    for split, row in (("train", 0), ("test", 1)):
        datasets.Dataset.from_list([ROWS[row]]).to_parquet(tmp_path / "hub" / split / "0000.parquet")
    assert [u.id for u in read_source(tmp_path / "hub", split="test")] == ["u2"]
    with pytest.raises(ValueError, match="has the splits test, train; choose"):
        list(read_source(tmp_path / "hub"))


def test_a_split_is_not_one_whose_name_begins_alike(tmp_path):
    import datasets

    for split, row in (("train", 0), ("train_noisy", 1)):
        datasets.Dataset.from_list([ROWS[row]]).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    assert [u.id for u in read_source(tmp_path, split="train")] == ["u1"]


class Hub:
    """Stands for the functions of `datasets` that read the hub."""

    def __init__(self, monkeypatch, data, offline=False):
        import datasets

        self.data, self.asked = data, []
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(datasets, "load_dataset", self.load)
        monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name, config: list(data))

    def load(self, name, config, *, split, **options):
        self.asked.append((name, config, split, options))
        return self.data if split is None else self.data[split]


@pytest.fixture
def hub_data():
    import datasets

    rows = datasets.Dataset.from_list(ROWS)
    return datasets.DatasetDict({"train": rows, "test": rows.select([1])})


@pytest.mark.parametrize("source", ["hf://owner/name", "hf://datasets/owner/name", "owner/name"])
def test_a_dataset_of_the_hub_is_read(monkeypatch, tmp_path, hub_data, source):
    monkeypatch.chdir(tmp_path)
    hub = Hub(monkeypatch, hub_data)
    found = list(read_source(source, split="test", config="en", columns=LABELLED))
    assert found == expected()[1:]
    assert hub.asked == [("owner/name", "en", "test", {})]


def test_a_revision_of_the_hub_is_asked_for(monkeypatch, hub_data):
    hub = Hub(monkeypatch, hub_data)
    list(read_source("hf://owner/name@v1.0", split="train"))
    assert hub.asked == [("owner/name", None, "train", {"revision": "v1.0"})]


@pytest.mark.parametrize("offline", [False, True])
def test_a_dataset_of_the_hub_with_several_splits_asks_which(monkeypatch, hub_data, offline):
    Hub(monkeypatch, hub_data, offline)
    with pytest.raises(ValueError, match="hf://owner/name: has the splits train, test; choose: --split NAME"):
        list(read_source("hf://owner/name"))


@pytest.mark.parametrize("offline", [False, True])
def test_the_one_split_of_a_dataset_of_the_hub_is_read(monkeypatch, hub_data, offline):
    del hub_data["train"]
    Hub(monkeypatch, hub_data, offline)
    assert [u.id for u in read_source("hf://owner/name")] == ["u2"]


def test_a_dataset_that_is_not_in_the_cache_is_said_in_one_line():
    with pytest.raises(
        ValueError, match=r"hf://owner/name: cannot be loaded \(.*HF_HUB_OFFLINE is set"
    ) as caught:
        list(read_source("hf://owner/name", split="test"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["data/gone.csv", "gone", "there/name", "a/b/c"])
def test_a_path_is_no_dataset_of_the_hub(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert hub_name(source) is None


@pytest.mark.parametrize("source", ["hf://name", "hf://a/b/c"])
def test_what_is_no_name_of_the_hub_is_refused(source):
    with pytest.raises(ValueError, match="give a dataset of the hub as hf://owner/name"):
        hub_name(source)
