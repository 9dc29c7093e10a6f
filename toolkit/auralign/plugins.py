"""Find and load alignment methods by their entry points, in the group `auralign.methods`.

    >>> entry = next(entry for entry in find_methods() if entry.name == "sift")
    >>> entry.package
    'auralign'

The methods that ship with auralign use the very group that outsiders use. Finding imports nothing; loading imports one.
"""

import difflib
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from auralign.json_lines import shorten
from auralign.method import API_VERSIONS, AlignmentMethod, Needs, check_options
from auralign.text.characters import show_controls

GROUP = "auralign.methods"


class MethodError(ValueError):
    """An alignment method that cannot be used: names the method, the package and the repair."""


@dataclass(frozen=True)
class MethodEntry:
    """Where a method is announced: its name, the object it points to, and the package that announces it."""

    name: str
    value: str
    package: str
    version: str
    entry_point: importlib.metadata.EntryPoint


def find_methods() -> list[MethodEntry]:
    """Every announced method, sorted by name; nothing is imported."""
    found = {}
    packages: dict[int, tuple[str, str]] = {}  # by id: a distribution reads a file for each of both
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        dist = entry_point.dist
        if dist is None:  # of no installed package: it cannot be named in an error
            continue
        if id(dist) not in packages:
            packages[id(dist)] = dist.name, dist.version
        package, version = packages[id(dist)]
        # An editable install can announce itself twice, from the checkout and from site-packages.
        key = (entry_point.name, entry_point.value, package)
        found[key] = MethodEntry(entry_point.name, entry_point.value, package, version, entry_point)
    return sorted(found.values(), key=lambda entry: (entry.name, entry.package))


def find_method(name: str) -> MethodEntry:
    """The one entry of that name.

    Raises MethodError on an unknown name (with a suggestion) and on a name that two packages claim.
    """
    entries = find_methods()
    claims = [entry for entry in entries if entry.name == name]
    if len(claims) > 1:
        packages = ", ".join(f"{entry.package} {entry.version}" for entry in claims)
        raise MethodError(f"method {name!r} is claimed by {packages}; uninstall all but one")
    if not claims:
        names = sorted({entry.name for entry in entries})
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        installed = ", ".join(names) or "none: pip install auralign again, its entry points are missing"
        raise MethodError(
            f"no alignment method {name!r}.{hint} Installed: {installed}. One of your own needs an entry point in the group "
            f"{GROUP!r}, and its package installed here: pip install -e"
        )
    return claims[0]


def load_class(entry: MethodEntry) -> type[AlignmentMethod]:
    """Import one method's class and check that it is one this toolkit can drive.

    Raises MethodError if the import fails, the object is no AlignmentMethod, its name differs from the entry point's,
    or it is written for another API version.
    """
    origin = f"method {entry.name!r} of {entry.package} {entry.version} ({entry.value})"
    try:
        found = entry.entry_point.load()
        fault = _find_fault(found, entry)
    except (
        BaseException
    ) as error:  # whatever a foreign module raises at import, sys.exit too, is reported under its name
        raise MethodError(f"{origin} could not be imported: {_in_one_line(error)}") from error
    if fault:
        raise MethodError(f"{origin} {fault}")
    method_class: type[AlignmentMethod] = found
    return method_class


def _find_fault(found: Any, entry: MethodEntry) -> str:
    """Why the object of an entry point is no method that this toolkit can drive; "" if it is one."""
    if not (isinstance(found, type) and issubclass(found, AlignmentMethod)):
        return "is not a subclass of auralign.method.AlignmentMethod"
    if found.__abstractmethods__:
        return f"lacks {', '.join(sorted(found.__abstractmethods__))}; write these hooks"
    if found.api_version not in API_VERSIONS:
        return (
            f"is written for method API {found.api_version}; this auralign speaks "
            f"{' and '.join(map(str, API_VERSIONS))}; install a version of {entry.package} for it"
        )
    if found.name != entry.name:
        return f"calls itself {found.name!r}; its `name` must equal its entry point's"
    for attribute in ("paper", "fidelity"):
        if not isinstance(value := getattr(found, attribute), str):
            return f"has the {attribute} {value!r}; its `{attribute}` must be text"
    return ""


def _in_one_line(error: BaseException) -> str:
    """An error that a foreign module raises, in one line, even if its message cannot be made."""
    try:
        text = show_controls(" ".join(str(error).split()))
    except BaseException:
        text = "its message cannot be made"
    return f"{type(error).__name__}: {text}"


def load_method(name: str, **options: Any) -> AlignmentMethod:
    """The method of that name, with its options.

    Raises MethodError as `find_method` and `load_class` do, on options that the method does not take, and if making it fails.
    """
    entry = find_method(name)
    method_class = load_class(entry)
    try:
        check_options(method_class, options)
        method = method_class(**options)
        if not (isinstance(method, AlignmentMethod) and isinstance(method.needs, Needs)):
            raise MethodError(
                f"method {name!r} of {entry.package} {entry.version} makes {shorten(repr(method))}, "
                "which is no method with `Needs`"
            )
        return method
    except TypeError as error:
        raise MethodError(
            f"method {name!r} of {entry.package} {entry.version} does not take these options "
            f"({', '.join(options) or 'none'}): {_in_one_line(error)}; see `auralign methods {name}`"
        ) from error
    except ValueError:
        raise
    except (
        BaseException
    ) as error:  # as of an import: `sys.exit` of a foreign method must not end this process
        raise MethodError(
            f"method {name!r} of {entry.package} {entry.version} could not be made: {_in_one_line(error)}"
        ) from error
