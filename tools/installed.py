"""Is this checkout installed in the Python that runs this, with all that it needs? tools/install.sh asks.

    python tools/installed.py check STAMP egs test     exit 0 where nothing is to do; else 1, and the reason on stdout
    python tools/installed.py extras STAMP egs         the extras to install: these, and those installed before
    python tools/installed.py record STAMP egs test    say in STAMP what was installed

Reads: setup.cfg, pyproject.toml, STAMP and the metadata of installed packages; imports none of them.
Writes: STAMP (record)
"""

import hashlib
import importlib.util
import json
import os
import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "auralign": ROOT / "toolkit" / "auralign",
    "auralign_methods": ROOT / "plugins" / "auralign_methods",
}


def main(command, stamp, *extras):
    stamp = Path(stamp)
    if command == "check":
        reason = find_fault(stamp, extras)
        if reason:
            sys.exit(reason)
    elif command == "extras":
        print(",".join(sorted({*extras, *read_stamp(stamp).get("extras", ())})))
    elif command == "record":
        temporary = stamp.with_name(f"{stamp.name}.tmp.{os.getpid()}")
        temporary.write_text(
            json.dumps({"definition": definition(), "extras": sorted(extras)}) + "\n", encoding="utf-8"
        )
        os.replace(temporary, stamp)


def find_fault(stamp, extras):
    """Why there is something to install, in one line; None where there is not."""
    found = read_stamp(stamp)
    if found.get("definition") != definition():
        return "setup.cfg or pyproject.toml changed since the last installation, or it was not finished"
    if not set(extras) <= set(found["extras"]):
        return f"of the extras {' '.join(extras)} only {' '.join(found['extras']) or 'none'} are installed"
    return find_fault_of_packages(extras)


def find_fault_of_packages(extras):
    """As find_fault, by what can be imported rather than by the stamp."""
    for name, folder in PACKAGES.items():
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if origin != folder:
            return f"{name} is imported from {origin or 'nowhere'} rather than from {folder}"
    if not is_present("auralign"):
        return "auralign is not installed"
    for requirement in metadata.requires("auralign") or ():
        # torch<2.12,>=2.10
        # pytest>=8; extra == "test"
        name = re.match(r"[\w.-]+", requirement)[0]
        extra = re.search(r"""extra *== *["'](.+?)["']""", requirement)
        if (extra is None or extra[1] in extras) and not is_present(name):
            return f"{name} is not installed"
    return None


def is_present(name):
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def read_stamp(stamp):
    """What `record` wrote; empty where it wrote nothing readable."""
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def definition():
    """Hash of the two files that say what is to be installed."""
    return hashlib.sha256(
        b"\0".join((ROOT / name).read_bytes() for name in ("setup.cfg", "pyproject.toml"))
    ).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
