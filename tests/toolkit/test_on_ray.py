"""Shards on two workers of Ray, of which one is killed: the file is that of one process."""

import sys

import pytest

SCRIPT = """
import os, signal, sys
from pathlib import Path

from auralign import script
from auralign.shards import DealtStage, Shard


class Count(DealtStage):
    path = Path("numbers.txt")

    def join(self, parts):
        self.path.write_text("".join(part.read_text() for part in parts))
        return "joined"


def main(argv):
    shard, rest = Shard.of_arguments(argv)
    whole = Count("count", ".", inputs={"numbers": 10}, outputs=["numbers.txt"])
    with (whole.part(shard) if shard else whole) as stage:
        if not stage.complete:
            if shard == (1, 2) and "killed" in rest and not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            stage.path.write_text("".join(f"{number}\\n" for number in (shard.cut(10) if shard else range(10))))


script.run(main, resumes=True)
"""


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine, with two workers."""
    ray = pytest.importorskip("ray", reason="ray is not installed (auralign[ray])")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def test_the_shard_of_a_killed_worker_is_given_to_another(cluster, tmp_path, monkeypatch):
    from auralign.on_ray import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "count.py").write_text(SCRIPT)
    assert main(["--num-shards", "2", "count.py", "killed"]) == 0
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "numbers.txt").read_text().split() == [str(number) for number in range(10)]
    assert not (tmp_path / "numbers.shards").exists()


def test_a_script_runs_in_this_process_and_gives_its_code(tmp_path, monkeypatch):
    from auralign.on_ray import run_here

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "count.py").write_text(SCRIPT)
    assert run_here(str(tmp_path), ["count.py", "--shard", "3/2"]) == 2
    assert run_here(str(tmp_path), ["count.py"]) == 0
    (tmp_path / "exits.py").write_text("import sys\nsys.exit('no')\n")
    assert run_here(str(tmp_path), ["exits.py"]) == 1


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    from auralign.on_ray import run_shards

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'auralign\[ray\]'"):
        run_shards(["generate.py"], num_shards=1)
