"""tools/update_lock.sh: a new lock stays only if the tests pass with it."""

import pytest

OLD = "numpy==2.4.5 \\\n    --hash=sha256:aa\n"
NEW = OLD.replace("2.4.5", "2.4.6")
UV = """\
#!/bin/bash
echo "uv $*"
if [ "$1 $2" = "pip compile" ]; then cat >constraints; printf %s "$NEW" >requirements.lock; fi
"""


@pytest.fixture
def updater(checkout):
    checkout.program("tools/install.sh", '#!/bin/sh\n[ "$*" = install ]\n')
    checkout.program("tools/test.sh", "#!/bin/sh\necho tested in $VIRTUAL_ENV\nexit ${TESTS_FAIL:-0}\n")
    checkout.program(".venv/bin/uv", UV)
    checkout.program(".venv/bin/python", "#!/bin/sh\n")
    (checkout.root / "requirements.lock").write_text(OLD)
    return checkout


def lock(updater):
    return (updater.root / "requirements.lock").read_text()


def test_a_lock_that_passes_the_tests_stays_and_the_changes_are_shown(updater):
    done = updater.run("tools/update_lock.sh", NEW=NEW)
    assert done.returncode == 0, done.stderr
    assert f"tested in {updater.root}/.venv-lock" in done.stdout
    assert done.stdout.endswith("the tests passed:\n< numpy==2.4.5\n> numpy==2.4.6\n")
    assert lock(updater) == NEW


def test_a_lock_that_fails_the_tests_is_set_aside(updater):
    done = updater.run("tools/update_lock.sh", NEW=NEW, TESTS_FAIL="1")
    assert done.returncode == 1
    assert "the tests failed; requirements.lock is as it was" in done.stderr
    assert (lock(updater), (updater.root / "requirements.lock.failed").read_text()) == (OLD, NEW)


def test_nothing_new_is_not_tested(updater):
    done = updater.run("tools/update_lock.sh", NEW=OLD)
    assert done.stdout.splitlines()[-1] == "update_lock.sh: nothing changed"
    assert "tested" not in done.stdout


def test_everything_is_renewed_but_what_is_given(updater):
    done = updater.run("tools/update_lock.sh", "numpy==2.4.5", NEW=OLD)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("uv pip compile"))
    assert " --upgrade " in line and "--generate-hashes" in line and "--universal" in line
    assert (updater.root / "constraints").read_text() == "numpy==2.4.5\n"


def test_with_keep_nothing_is_renewed(updater):
    done = updater.run("tools/update_lock.sh", "--keep", NEW=OLD)
    assert "--upgrade" not in done.stdout
