"""tools/install.sh: once is enough, and each failure is one line that says what to do. All with fakes."""

import configparser
import contextlib
import os
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def install(checkout, *extras, **variables):
    return checkout.run("tools/install.sh", *extras, **variables)


def one_line(done):
    """The only line of stderr of a failed run."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def with_uv(checkout):
    """Put a uv on PATH."""
    checkout.program("uv", '#!/usr/bin/env bash\nPROGRAM=uv . "$FAKE_INSTALLER"\n')
    return checkout


def test_the_first_run_makes_an_environment_and_installs_by_hash(checkout):
    done = install(checkout, "egs", "test")
    assert done.returncode == 0, done.stderr
    assert checkout.calls.read_text().splitlines() == [
        "made",
        "pip --require-hashes base install",  # uv and setuptools come first
        "pip --require-hashes egs test",
        "pip project",
        "described",
    ]


def test_the_first_run_says_what_it_does_and_how_long_it_takes(checkout):
    shown = install(checkout, "egs").stdout
    assert "installing auralign with egs" in shown
    assert "1 to 15 minutes" in shown


def test_uv_is_used_if_it_is_there(checkout):
    install(with_uv(checkout), "egs")
    assert checkout.calls.read_text().splitlines()[1:3] == [
        "uv --require-hashes base egs install",
        "uv project",
    ]


def test_pip_is_used_if_it_is_asked_for(checkout):
    install(with_uv(checkout), INSTALLER="pip")
    assert (checkout.num_calls("uv"), checkout.num_calls("pip")) == (0, 2)


def test_pip_takes_over_if_uv_fails_and_the_reason_is_shown(checkout):
    done = install(with_uv(checkout), FAKE_INSTALL="uv fails")
    assert done.returncode == 0, done.stderr
    assert "uv failed (error: no uv today), trying pip" in done.stdout
    assert "pip --require-hashes base install" in checkout.calls.read_text()


def test_a_second_run_does_nothing_and_says_nothing(checkout):
    install(checkout, "egs")
    before = checkout.calls.read_text()
    done = install(checkout, "egs")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert checkout.calls.read_text() == before


def test_a_further_extra_installs_what_it_lacks(checkout):
    install(checkout, "egs")
    before = checkout.num_calls("pip")
    install(checkout, "egs", "test")
    assert checkout.calls.read_text().splitlines()[-1] == "pip --require-hashes test"
    assert checkout.num_calls("pip") == before + 1


def test_a_changed_setup_cfg_is_described_again(checkout):
    install(checkout)
    with open(checkout.root / "setup.cfg", "a") as file:
        file.write("# changed\n")
    os.utime(checkout.root / "toolkit" / "auralign.egg-info" / "entry_points.txt", (1, 1))
    install(checkout)
    assert checkout.calls.read_text().splitlines()[-1] == "described"
    assert checkout.num_calls("pip") == 2


def test_packages_of_the_users_own_are_fitted_by_a_resolver(checkout):
    """Their versions stay: what is missing comes by the ranges of setup.cfg, and by the lock where it can."""
    checkout.program("env/bin/python", (checkout.programs / "python3").read_text())
    install(checkout, "egs", VIRTUAL_ENV=str(checkout.root / "env"), FAKE_MIXED="yes")
    assert checkout.calls.read_text().splitlines()[0] == "pip -c ranges of egs install"


def test_the_active_virtual_environment_is_used(checkout):
    checkout.program("env/bin/python", (checkout.programs / "python3").read_text())
    install(checkout, VIRTUAL_ENV=str(checkout.root / "env"))
    assert checkout.calls.read_text().splitlines()[0] == "pip --require-hashes base install"
    assert not (checkout.root / ".venv").exists()


def test_the_active_conda_environment_is_used(checkout):
    checkout.program("conda/bin/python", (checkout.programs / "python3").read_text())
    install(checkout, CONDA_PREFIX=str(checkout.root / "conda"))
    assert (checkout.root / "conda" / "auralign-install.log").exists()
    assert not (checkout.root / ".venv").exists()


def test_base_of_conda_is_left_alone(checkout):
    checkout.program("conda/bin/python", (checkout.programs / "python3").read_text())
    install(checkout, CONDA_PREFIX=str(checkout.root / "conda"), CONDA_DEFAULT_ENV="base")
    assert (checkout.root / ".venv" / "bin" / "python").exists()


def test_an_active_environment_without_python_is_named(checkout):
    assert "/gone has no working Python" in one_line(install(checkout, VIRTUAL_ENV="/gone"))


def test_an_active_environment_that_is_too_old_is_named(checkout):
    checkout.program("env/bin/python", (checkout.programs / "python3").read_text())
    line = one_line(install(checkout, VIRTUAL_ENV=str(checkout.root / "env"), FAKE_VERSION="3.10"))
    assert "Python 3.10" in line and "needs 3.11" in line and "deactivate" in line


def test_too_old_a_python_is_named_with_the_way_to_give_another(checkout):
    line = one_line(install(checkout, FAKE_VERSION="3.9"))
    assert "python3 is 3.9" in line and "PYTHON=" in line


def test_python_may_be_chosen(checkout):
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        (checkout.programs / name).rename(checkout.programs / f"not-{name}")
        checkout.program(name, "#!/bin/sh\nexit 127\n")
    assert "found no Python" in one_line(install(checkout))
    assert install(checkout, PYTHON="not-python3").returncode == 0


def test_a_later_python_is_found_where_the_first_is_too_old(checkout):
    checkout.program("python3", "#!/bin/sh\necho 3.8\n")
    assert install(checkout).returncode == 0


def test_a_missing_venv_module_names_its_package(checkout):
    assert "python3.12-venv" in one_line(install(checkout, FAKE_VENV="no"))


def test_a_small_disk_is_refused_before_anything_is_made(checkout):
    checkout.disk(3)
    line = one_line(install(checkout))
    assert "3 GB free" in line and "about 8 GB are needed" in line
    assert not checkout.calls.exists()


def test_a_small_disk_is_enough_where_torch_is_installed(checkout):
    checkout.disk(1)
    checkout.program("env/bin/python", (checkout.programs / "python3").read_text())
    assert install(checkout, FAKE_TORCH="yes", VIRTUAL_ENV=str(checkout.root / "env")).returncode == 0


def test_a_read_only_checkout_is_named(checkout):
    checkout.program("mktemp", "#!/bin/sh\necho 'mktemp: Read-only file system' >&2\nexit 1\n")
    line = one_line(install(checkout))
    assert f"cannot write to {checkout.root}" in line


@pytest.mark.parametrize(
    ("logged", "advice"),
    [
        ("Retrying after connection broken by 'NewConnectionError(...)'", "no network"),
        ("Temporary failure in name resolution", "no network"),
        ("ReadTimeoutError(\"HTTPSConnectionPool(host='files.pythonhosted.org')\")", "no network"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("OSError: [Errno 30] Read-only file system: 'auralign.egg-info'", "no permission to write"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]'))", "PIP_CERT"),
        ("ERROR: No matching distribution found for torch>=2.10", "no torch>=2.10 for Python 3.12"),
        ("ERROR: something new", "something new"),
    ],
)
def test_a_failure_of_pip_is_told_in_a_line_that_names_the_log(checkout, logged, advice):
    line = one_line(install(checkout, FAKE_INSTALL="fails", FAKE_LOG=logged))
    log = checkout.root / ".venv" / "auralign-install.log"
    assert advice in line and str(log) in line
    assert log.read_text() == f"{logged}\n"


def test_an_unknown_extra_is_refused(checkout):
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    known = " ".join(settings["options.extras_require"])
    assert f"no extra 'tset' in setup.cfg; known: {known}" in one_line(install(checkout, "tset"))


def test_a_killed_installation_is_repaired_by_the_next_run(checkout):
    assert install(checkout, FAKE_INSTALL="killed").returncode == -9
    assert install(checkout).returncode == 0
    assert checkout.num_calls("repaired") == 1
    assert install(checkout).stdout == ""


def test_a_half_made_environment_is_made_again(checkout):
    broken = checkout.program(".venv/bin/python", "#!/bin/sh\nexit 1\n")
    assert install(checkout).returncode == 0
    assert checkout.num_calls("made") == 1
    assert "FAKE" in broken.read_text()


def open_for(process, fifo):
    """The named pipe, opened when the process reads it; fails if the process ends first, as on a full disk."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # ENXIO: nobody reads it yet
            return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "w")
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"install.sh did not come to pip: {process.communicate()}")


def test_two_at_once_install_once(checkout):
    fifo = checkout.root.parent / "fifo"
    os.mkfifo(fifo)
    first = checkout.start("tools/install.sh", FAKE_INSTALL="held", FAKE_FIFO=str(fifo))
    with open_for(first, fifo):  # opens when the first is within pip
        second = checkout.start("tools/install.sh")
        assert "waiting for it" in second.stdout.readline()
    assert "installed" in first.communicate(timeout=60)[0]
    assert second.communicate(timeout=60) == ("", "")
    assert (first.returncode, second.returncode) == (0, 0)
    assert checkout.num_calls("pip") == 2


def test_it_works_from_any_folder(checkout, tmp_path):
    assert install(checkout, cwd=tmp_path).returncode == 0
