"""Which examples training draws: the keys `keep`, `mixture`, `sampling` and `order` of a recipe.

>>> draws = Draws(keep={"snr": [15, None]}, mixture=[{"where": {"task": "repeat"}, "share": 0.75}, {"share": 0.25}])
>>> draws.why_not({"snr": 9.5, "task": "sort"})
('snr outside 15 to any', '9.5')
>>> draws.part_of({"snr": 20, "task": "sort"}), draws.part_of({"task": "repeat"})
('the rest', 'task=repeat')
>>> Draws(sampling={"by": "language", "temperature": 2.0}).shares({"language=en": 900, "language=de": 100})
{'language=en': 0.75, 'language=de': 0.25}

They read the facts of an example (`facts_of`): its task, the utterance's language, speaker, seconds, labels and attributes, and
the target's grades.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auralign.recipe.keys import suggest
from auralign.records import Target, Utterance, shorten

SHUFFLED, KEPT = ORDERS = ("shuffled", "kept")
REST = "the rest"


def facts_of(utterance: Utterance, target: Target) -> dict[str, Any]:
    """What is known of an example, by name."""
    own = {name: getattr(utterance, name) for name in ("language", "speaker", "seconds")}
    own["task"] = target.choice.task
    known = {name: value for name, value in own.items() if value != ""}  # "" is what is not known
    return {**utterance.attributes, **utterance.labels, **target.grades, **known}


@dataclass(frozen=True)
class Draws:
    """The checked values of the four keys.

    Arguments
    ---------
    keep : dict of str
        By the name of a fact, the bounds [lowest, highest], both included, None for no bound; or the one value that is kept.
    mixture : sequence of dict
        Parts of the training set: `where`, the facts of the part (a value, or a list of them), default all; and `share`, of LLM
        positions. An example belongs to the first part that fits.
    sampling : dict
        `by`, the fact whose values are the parts; and `temperature` T, or `alpha` = 1 / T: a part's share of LLM positions is
        in proportion to (its share of the training set) ** alpha.
    order : str
        "shuffled": another permutation in each epoch; "kept": as in the manifest.

    Raises ValueError that names the key and the value if one cannot be used.
    """

    keep: Mapping[str, Any] = field(default_factory=dict)
    mixture: Sequence[Mapping[str, Any]] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    order: str = SHUFFLED

    def __post_init__(self) -> None:
        for name, wanted in self.keep.items():
            if isinstance(wanted, list):
                _check_bounds(name, wanted)
            elif wanted is None:
                raise ValueError(f"keep: {name}: null: give [lowest, highest], or the one value that is kept")
        if self.mixture and self.sampling:
            raise ValueError("mixture and sampling both say which shares are drawn; give one of the two")
        for part in self.mixture:
            _check_part(part)
        shares = [part["share"] for part in self.mixture]
        if shares and not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
            raise ValueError(f"mixture: the shares {shares} add up to {sum(shares):g}; make it 1")
        names = [_name(part) for part in self.mixture]
        if len({*names}) < len(names):
            raise ValueError(
                f"mixture: two parts are {max(names, key=names.count)!r}; the second would be empty"
            )
        if self.sampling:
            _check_sampling(self.sampling)

    @property
    def has_parts(self) -> bool:
        """Whether the training set is drawn in shares."""
        return bool(self.mixture or self.sampling)

    @property
    def reads_facts(self) -> bool:
        """Whether the facts of each example must be known."""
        return bool(self.keep) or self.has_parts

    def why_not(self, facts: Mapping[str, Any]) -> tuple[str, str] | None:
        """Why an example is left out, and the value that it has; None if it is kept."""
        for name, wanted in self.keep.items():
            value = facts.get(name)
            if value is None:
                return f"no {name} is known", ""
            if not isinstance(wanted, list):
                if value != wanted:
                    return f"{name} is not {wanted}", str(value)
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"keep: {name} is {value!r}, which is no number; bounds {wanted} need one")
            if not _is_within(value, wanted):
                return f"{name} outside {_words(wanted)}", str(value)
        if self.has_parts and self.part_of(facts) is None:
            by = self.sampling.get("by")
            return (f"no {by} is known" if by else "in no part of the mixture"), ""
        return None

    def part_of(self, facts: Mapping[str, Any]) -> str | None:
        """The name of the part that an example belongs to; None if it belongs to none."""
        if self.sampling:
            value = facts.get(self.sampling["by"])
            return None if value is None else f"{self.sampling['by']}={value}"
        return next((_name(part) for part in self.mixture if _fits(facts, part.get("where", {}))), None)

    def shares(self, positions: Mapping[str, int]) -> dict[str, float]:
        """The share of each part, by name, from the LLM positions that the training set has of it.

        Raises ValueError if a part of the mixture has none.
        """
        if self.sampling:
            power = self.sampling["alpha"] if "alpha" in self.sampling else 1 / self.sampling["temperature"]
            total = sum(positions.values())
            weights = {name: (number / total) ** power for name, number in positions.items()}
            of_all = sum(weights.values())
            shares = {name: weight / of_all if of_all else 0.0 for name, weight in weights.items()}
            least = min(positions, key=lambda name: positions[name])
            if shares[least] * total < 0.5:  # its first example would outweigh all that is ever drawn
                raise ValueError(
                    f"sampling: {dict(self.sampling)} leaves {least!r} a share of {shares[least]:g} of {total} LLM positions; "
                    "give a higher temperature (a lower alpha), or leave these examples out (keep)"
                )
            return shares
        for part in self.mixture:
            if not positions.get(_name(part)):
                raise ValueError(
                    f"mixture: no example is {_name(part)!r}; the training set has {dict(positions)} LLM positions by part"
                )
        return {_name(part): part["share"] for part in self.mixture}

    def check_names(self, known: Iterable[str]) -> None:
        """Raise ValueError if a key reads a fact that no example has."""
        known = {*known}
        read = {"keep": [*self.keep], "sampling": [self.sampling["by"]] if self.sampling else []}
        read["mixture"] = [name for part in self.mixture for name in part.get("where", {})]
        for key, names in read.items():
            for name in names:
                if name not in known:
                    raise ValueError(f"{key}: no training example has {name!r}{suggest(name, known)}")


def _check_bounds(name: str, bounds: list) -> None:
    are_numbers = all(
        bound is None or (isinstance(bound, (int, float)) and not isinstance(bound, bool)) for bound in bounds
    )
    are_known = are_numbers and not any(bound is not None and math.isnan(bound) for bound in bounds)
    if len(bounds) != 2 or not are_known or bounds == [None, None]:
        raise ValueError(f"keep: {name}: {bounds}: give [lowest, highest], null for no bound, or one value")
    if None not in bounds and bounds[0] > bounds[1]:
        raise ValueError(f"keep: {name}: {bounds}: the lowest is above the highest; swap them")


def _check_part(part: Any) -> None:
    if not isinstance(part, Mapping) or "share" not in part or {*part} - {"where", "share"}:
        raise ValueError(
            f"mixture: {shorten(repr(part))}: give a part as {{where: {{task: NAME}}, share: 0.5}}"
        )
    where, share = part.get("where", {}), part["share"]
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError(
            f"mixture: the share {share!r} of {_name(part)!r} must be a number above 0, at most 1"
        )
    if not isinstance(where, Mapping):
        raise ValueError(f"mixture: where is {shorten(repr(where))}; give facts by name: {{task: NAME}}")


def _check_sampling(sampling: Mapping[str, Any]) -> None:
    given = [name for name in ("temperature", "alpha") if name in sampling]
    if not isinstance(sampling.get("by"), str) or len(given) != 1 or len(sampling) != 2:
        raise ValueError(
            f"sampling: {dict(sampling)}: give `by`, and either `temperature` or `alpha`: "
            "{by: language, temperature: 2.0}"
        )
    value, is_alpha = sampling[given[0]], given == ["alpha"]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf or (value == 0 and not is_alpha):
        least = "at least 0 (equal shares)" if is_alpha else "above 0 (1 leaves the shares as they are)"
        raise ValueError(f"sampling: {given[0]} {value!r} must be a number {least}")


def _fits(facts: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    return all(
        name in facts and (facts[name] in wanted if isinstance(wanted, list) else facts[name] == wanted)
        for name, wanted in where.items()
    )


def _name(part: Mapping[str, Any]) -> str:
    """The name of a part of a mixture, in the log and in messages."""
    words = [
        f"{name}={'|'.join(map(str, wanted)) if isinstance(wanted, list) else wanted}"
        for name, wanted in (part.get("where") or {}).items()
    ]
    return ", ".join(words) or REST


def _is_within(value: float, bounds: list) -> bool:
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def _words(bounds: list) -> str:
    return " to ".join("any" if bound is None else f"{bound:g}" for bound in bounds)
