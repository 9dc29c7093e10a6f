"""A plan as lines of text."""

from auralign.plan.estimate import RESERVE, Plan
from auralign.progress import show_bytes, show_seconds


def describe(plan: Plan, run, *, gpus: int) -> str:
    """The lines that `auralign plan` prints."""
    recipe = run.recipe
    parts = ", ".join(f"{name} {show_number(number)}" for name, number in plan.models.items())
    lines = [f"{run.name}: estimated from configs and lengths; no weights are loaded", f"parameters  {parts}"]
    for split, found in plan.data.items():
        how = (
            "counted by stage 2"
            if found["are_counted"]
            else "expected, with answers of max_new_tokens: at most"
        )
        lines.append(
            f"{split:<12}{found['utterances']:,} utterances, {found['hours']:.1f} h, {found['examples']:,} examples, "
            f"{found['mean']:.0f} positions each, longest {found['longest']:,} ({how})"
        )
    training, each = plan.training, "the device" if gpus == 1 else f"each of {gpus} devices"
    lines.append(
        f"training    {training['steps']:,} steps of {recipe.tokens_per_step:,} positions, {training['packs_of_a_step']:.1f} "
        f"packs on {each}: {training['epochs']:.2f} epochs, {show_number(training['positions'])} positions"
    )
    memory = ", ".join(f"{name} {show_bytes(size)}" for name, size in plan.memory.items() if size)
    lines.append(
        f"memory      of each device: {memory}; {show_bytes(sum(plan.memory.values()))} of {show_bytes(plan.available)}"
    )
    lines.append(f"            {_advise(plan, recipe)}")
    times = ", ".join(f"{name} {show_seconds(plan.seconds(name))}" for name in plan.operations)
    lines.append(
        f"time        {times}, at {plan.rate / 1e12:.3g} x 10^12 operations a second, if nothing waits: at least"
    )
    written = ", ".join(f"{name} {show_bytes(size)}" for name, size in plan.disk.items() if size)
    lines.append(f"disk        {written}")
    return "\n".join(lines)


def _advise(plan: Plan, recipe) -> str:
    if not plan.largest_pack:
        return "does not fit, even with one example in a pack: take a smaller dtype (llm.dtype), a smaller LLM, or more memory"
    fits = f"a tokens_per_pack of up to {plan.largest_pack:,} fits, with {RESERVE:.0%} left free"
    return (
        f"fits; {fits}"
        if plan.fits
        else f"does not fit with tokens_per_pack {recipe.tokens_per_pack:,}; {fits}"
    )


def show_number(number: float) -> str:
    """A large number in words.

    >>> show_number(7_615_616_512), show_number(1_500)
    ('7,616 M', '1,500')
    """
    return (
        f"{number / 1e6:,.0f} M"
        if number >= 1e7
        else f"{number / 1e6:.2f} M"
        if number >= 1e5
        else f"{number:,.0f}"
    )
