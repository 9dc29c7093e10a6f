"""What the Python that runs this still lacks for auralign, by requirements.lock; tools/install.sh asks.

    python tools/installed.py check egs test      exit 0 if nothing is to be installed; else 1, and the reason on stdout
    python tools/installed.py lock egs test       the lines of requirements.lock that are to be installed
    python tools/installed.py ranges egs test     the requirements of setup.cfg,
    python tools/installed.py pins egs test       and the locked version of each that is not in them, without hashes
    python tools/installed.py mixed egs test      exit 0 if the environment holds some of it already, and is not our own
    python tools/installed.py project             exit 0 if auralign itself is installed; else 1
    python tools/installed.py repair MARKER       forget packages that an installation since MARKER left half written

The environment .venv of the checkout follows the lock exactly. In an environment of the user's own, a package that is
there stays, as long as its version is within the range of setup.cfg.

Reads: setup.cfg, requirements.lock and the metadata of installed packages; imports only `packaging`, or pip's copy.
"""

import configparser
import csv
import re
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

try:
    import packaging.requirements
    import packaging.version
except ImportError:  # nothing is installed yet: pip and setuptools bring a copy each
    try:
        from pip._vendor import packaging
        from pip._vendor.packaging import requirements, version  # noqa: F401
    except ImportError:
        from setuptools._vendor import packaging
        from setuptools._vendor.packaging import requirements, version  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = Path(sysconfig.get_path("purelib"))
PROJECT = "auralign"


def main(command, *arguments):
    if command in ("check", "project", "mixed"):
        fault = {"check": find_fault, "project": find_fault_of_project, "mixed": find_fault_of_mixture}[
            command
        ]
        reason = fault(*([arguments] if command != "project" else []))
        if reason:
            sys.exit(reason)
    elif command == "lock":
        lock = read_lock()
        names = needed(lock, read_requirements(arguments))
        print("".join(block for name in names for block in lock[name] if is_missing(name, block)), end="")
    elif command == "ranges":
        print("\n".join(line for lines in read_requirements(arguments).values() for line in lines))
    elif command == "pins":
        lock, direct = read_lock(), read_requirements(arguments)
        for name in needed(lock, direct):
            if version_of(name) is None or find_fault_of_package(name, direct.get(name, ())):
                print("".join(f"{pin(block)}\n" for block in lock[name]), end="")
    elif command == "repair":
        repair(Path(arguments[0]).stat().st_mtime)
    else:
        sys.exit(f"installed.py: no command {command!r}")


def find_fault(extras):
    """Why there is something to install, in one line; None if there is nothing."""
    requirements = read_requirements(extras)
    for name, ranges in requirements.items():
        fault = find_fault_of_package(name, ranges)
        if fault:
            return f"{name} {fault}"
    if follows_the_lock():
        lock = read_lock()
        for name in needed(lock, requirements):
            for block in lock[name]:
                if is_missing(name, block):
                    return f"{name} is {version_of(name) or 'not installed'}, the lock has {pin(block)}"
    return find_fault_of_project()


def find_fault_of_package(name, ranges):
    """What is wrong with an installed package, by the ranges of setup.cfg; None if nothing is."""
    version = version_of(name)
    if version is None:
        return "is not installed"
    for requirement in map(packaging.requirements.Requirement, ranges):
        if not requirement.specifier.contains(version, prereleases=True):
            return f"is {version}, setup.cfg asks for {requirement.specifier}"
    return None


def find_fault_of_mixture(extras):
    """Why the lock can be installed as it is, without a thought for what is there; None if it cannot."""
    if follows_the_lock():
        return "the environment is our own"
    if all(
        version_of(name) is None for name in read_requirements(extras) if name not in ("setuptools", "uv")
    ):
        return "nothing is installed"
    return None


def is_missing(name, block):
    """Whether a package of the lock is absent or of another version, on this Python and machine."""
    locked = packaging.requirements.Requirement(pin(block))
    if locked.marker and not locked.marker.evaluate():
        return False
    version = version_of(name)
    return version is None or packaging.version.Version(version).public not in locked.specifier


def pin(block):
    """The first line of a package's lines: numpy==2.4.6 ; python_full_version < '3.12'"""
    return re.split(r" \\\n|\n", block, maxsplit=1)[0]


def version_of(name):
    """The installed version; None if the package is absent."""
    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, TypeError):  # TypeError: metadata without a version, half written
        return None


def follows_the_lock():
    """Whether this environment is the checkout's own."""
    return Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()


def find_fault_of_project():
    """The reason to install auralign itself: in an environment that is not ours it may be of another checkout."""
    config = read_config()
    for found in metadata.distributions(name=PROJECT, path=[str(PACKAGES)]):
        announced = {f"{point.name} = {point.value}" for point in found.entry_points}
        promised = {
            line for group in config["options.entry_points"].values() for line in group.strip().splitlines()
        }
        if follows_the_lock() and (announced != promised or not is_of_this_checkout(found)):
            return "auralign's entry points changed since it was installed"
        return None
    return "auralign is not installed"


def is_of_this_checkout(found):
    """Whether an editable installation is of this checkout, and a plain path, as it has been since it has one root."""
    links = [PACKAGES / file for file in found.files or () if file.suffix == ".pth"]
    return any(
        Path(line) == ROOT / "toolkit"
        for link in links
        if link.is_file()
        for line in link.read_text(encoding="utf-8").splitlines()
    )


def read_config():
    config = configparser.ConfigParser()
    config.optionxform = str
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def read_requirements(extras):
    """{name: ["torch>=2.13,<2.16", ...]} of the base and the extras; an extra may name others: auralign[datasets,lhotse]."""
    config = read_config()
    lists = config["options.extras_require"]
    found, left = {}, [config["options"]["install_requires"], *(lists[extra] for extra in extras)]
    while left:
        for line in left.pop().splitlines():
            requirement = line.partition("#")[0].strip()
            if not requirement:
                continue
            name = normalised(re.match(r"[\w.-]+", requirement)[0])
            if name == PROJECT:
                left.extend(
                    lists[extra.strip()] for extra in re.search(r"\[(.*)\]", requirement)[1].split(",")
                )
            else:
                found.setdefault(name, []).append(requirement)
    return found


def read_lock():
    """{name: [lines]} of requirements.lock; a package may be in it for several Pythons.

        numpy==2.4.6 ; python_full_version < '3.12' \
            --hash=sha256:9c3b...
            # via
            #   auralign (setup.cfg)
            #   scipy
    """
    lock, name = {}, None
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines(keepends=True):
        found = re.match(r"([A-Za-z0-9][\w.-]*)(\[.*\])?==", line)
        if found:
            name = normalised(found[1])
            lock.setdefault(name, []).append("")
        if name:
            lock[name][-1] += line
    return lock


def needed(lock, names):
    """Those of the lock that `names` need, sorted: all that was locked on the way from one of them."""
    needs = {}
    for name, blocks in lock.items():
        for block in blocks:
            for parent in re.findall(r"^ +# +(?:via +)?([\w.-]+)", block, re.MULTILINE):
                needs.setdefault(normalised(parent), set()).add(name)
    found, left = set(), [normalised(name) for name in names]
    while left:
        name = left.pop()
        if name in lock and name not in found:
            found.add(name)
            left.extend(needs.get(name, ()))
    return sorted(found)


def normalised(name):
    """As package indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def repair(since):
    """Remove the metadata of packages that were being written: those newer than `since` whose files are not all there."""
    for folder in PACKAGES.glob("*.dist-info"):
        if folder.stat().st_mtime < since:
            continue
        record = folder / "RECORD"  # read here: importlib leaves out the files that are not there
        files = [row[0] for row in csv.reader(record.open(encoding="utf-8"))] if record.exists() else [record]
        if not all((PACKAGES / file).exists() for file in files if not str(file).endswith(".pyc")):
            shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
