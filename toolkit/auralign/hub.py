"""Models of the Hugging Face hub by their id, fetched into the hub's cache at a commit that a run keeps.

    >>> parse("Qwen/Qwen2.5-7B-Instruct@main")
    Reference(id='Qwen/Qwen2.5-7B-Instruct', revision='main')

A model is named by a folder, by an id `org/name` or `org/name@revision`, or by a folder of the hub's cache (`models--org--name`,
or a snapshot in it). A folder of that name wins over the hub. HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN have the meaning
that `huggingface_hub` gives them. A model at a known commit that was fetched before is found without network and libraries.
"""

import contextlib
import glob
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from auralign.files import PathLike, hash_value, read_json, recall_path, remember_path

COMMIT = re.compile(r"[0-9a-f]{40}")
_WORD = r"[A-Za-z0-9][\w.-]*"
_REFERENCE = re.compile(rf"({_WORD}/{_WORD})(?:@([\w./-]+))?", flags=re.ASCII)
_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)", flags=re.ASCII)
# The weights that are read, in this order; or the shards that `<name>.index.json` names.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What is fetched beside the weights, of the files that are in no folder.
SETTINGS = (
    "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py", "*.md", "LICENSE*", "NOTICE*", "ctc_head.safetensors",
)  # fmt: skip
CONFIG = "config.json"
MODEL_FOLDER = "auralign.json"  # names a repository of `auralign push`, of which everything is fetched
GGUF = ".gguf"
SECONDS = 10.0  # within which the hub must begin to answer


class Reference(NamedTuple):
    """A model on the hub: its id `org/name`, and a branch, tag or commit; None is the default branch."""

    id: str
    revision: str | None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return self.revision is not None and bool(COMMIT.fullmatch(self.revision))

    def __str__(self) -> str:
        return self.id if self.revision is None else f"{self.id}@{self.revision}"

    @property
    def download_line(self) -> str:
        """The command that puts the model into the hub's cache."""
        return f"hf download {self.id}" + (f" --revision {self.revision}" if self.revision else "")


def parse(name: PathLike) -> Reference | None:
    """The reference that a name of a model is.

    Arguments
    ---------
    name : str or Path
        As the user gave it.

    Returns Reference, or None if the name is a path: something exists there, it does not have the form of an id, or its first
    part is a folder here, it names no revision, and nothing of that id is in the hub's cache.
    """
    found = _REFERENCE.fullmatch(str(name))
    if found is None or Path(name).exists() or str(name).endswith(GGUF):
        return None
    if found[2] is None and Path(name).parent.is_dir() and not _is_cached(found[1]):
        return None  # models/llm, beside models/encoder: a folder that was removed or misspelt
    return Reference(found[1], found[2])


def has_form_of_id(name: str) -> bool:
    """Whether a name has the form `org/name` or `org/name@revision`, whatever folders are here."""
    return _REFERENCE.fullmatch(name) is not None


def is_pinned(name: PathLike) -> bool:
    """Whether a name is an id with a commit, which means the same model for ever."""
    reference = parse(name)
    return reference is not None and reference.is_pinned


def is_moving(name: PathLike) -> bool:
    """Whether a name can mean another model later: an id without a commit, or a folder `models--org--name`."""
    reference = parse(name)
    if reference is None:
        return _snapshot_in_cache(Path(name)) is not None
    return not reference.is_pinned


def pin(name: str) -> str:
    """A name that goes on meaning the model that `name` means now; the model is fetched.

    Returns `org/name@commit` for an id, the snapshot for a folder `models--org--name`, and any other path as it is.

    Raises what `resolve` raises.
    """
    reference = parse(name)
    if reference is None:
        folder = _snapshot_in_cache(Path(name))
        return str(folder) if folder else str(name)
    return str(Reference(reference.id, resolve(name).name))


def resolve(name: PathLike) -> Path:
    """The local folder of a model; a model of the hub that is not in the hub's cache is fetched.

    Arguments
    ---------
    name : str or Path
        A folder, an id, or a folder of the hub's cache.

    Returns Path. A path at which nothing exists is returned unchanged: its reader knows what it misses.

    Raises
    ------
    FileNotFoundError : the hub has no such model or revision, or cannot be reached and the cache does not hold the model.
    PermissionError : the model is gated or private.
    ValueError : the model has no weights that can be read, such as GGUF files alone.
    """
    path, reference = Path(name), parse(name)
    if reference is not None:
        return _fetched_before(reference) or _fetch(reference)
    if path.suffix == GGUF:
        raise ValueError(_convert(str(path), path.parent, path.name))
    path = _snapshot_in_cache(path) or path
    if path.is_dir() and not (path / CONFIG).exists():
        converted = sorted(path.glob(f"*{GGUF}"))
        if converted:
            raise ValueError(_convert(str(path), path, converted[0].name))
    return path


def find_file(name: PathLike, file: str) -> Path | None:
    """A file of a model, in its folder or in the hub's cache; nothing is fetched. None if it is in neither."""
    reference = parse(name)
    if reference is None:
        path = (_snapshot_in_cache(Path(name)) or Path(name)) / file
    else:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(reference.id, file, revision=reference.revision)
        if not isinstance(found, str):
            return None
        path = Path(found)
    return path if path.is_file() else None


def name_of(folder: PathLike) -> str:
    """The name of a model's folder in records and reports: `org/name@commit` of a snapshot in the hub's cache, else its last
    part.

    >>> name_of("/cache/models--org--name/snapshots/" + 40 * "a")
    'org/name@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    """
    reference = reference_of(folder)
    return str(reference) if reference else Path(folder).name


def reference_of(folder: PathLike) -> Reference | None:
    """The id and commit of a snapshot in the hub's cache; None for any other folder."""
    snapshots, commit = Path(folder).parent, Path(folder).name
    found = _CACHED.fullmatch(snapshots.parent.name)
    if snapshots.name != "snapshots" or found is None or not COMMIT.fullmatch(commit):
        return None
    return Reference(f"{found[1]}/{found[2]}", commit)


def moved(name: str, commit: str) -> str | None:
    """The commit that the hub has now for a name that was pinned at `commit`; None if it is the same or cannot be found out."""
    from huggingface_hub import HfApi

    reference = parse(name)
    if reference is None or reference.is_pinned:
        return None
    with contextlib.suppress(*failures()):
        now = HfApi().model_info(reference.id, revision=reference.revision, timeout=SECONDS).sha
        return None if now == commit else now
    return None


def _snapshot_in_cache(path: Path) -> Path | None:
    """The snapshot of a folder `models--org--name`: that of the branch main, or the only one; None for any other path.

    Raises FileNotFoundError if the folder does not say which snapshot is meant.
    """
    if not _CACHED.fullmatch(path.name) or not (path / "snapshots").is_dir():
        return None
    main, commits = path / "refs" / "main", sorted(one.name for one in (path / "snapshots").iterdir())
    commit = main.read_text(encoding="ascii").strip() if main.is_file() else ""
    if commit not in commits:
        if len(commits) != 1:
            raise FileNotFoundError(
                f"{path}: holds the commits {', '.join(commits) or '(none)'}, none of which is main; give the folder of one: "
                f"{path / 'snapshots'}/COMMIT"
            )
        commit = commits[0]
    return path / "snapshots" / commit


def _is_cached(name: str) -> bool:
    """Whether the hub's cache holds anything of an id."""
    from huggingface_hub import constants

    return (Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}").is_dir()


def _memory(reference: Reference) -> str:
    return hash_value(["hub", reference.id, reference.revision])


def _fetched_before(reference: Reference) -> Path | None:
    """The snapshot of a commit that was fetched whole."""
    folder = recall_path(_memory(reference)) if reference.is_pinned else None
    return folder if folder and _has_weights(folder) else None


def _fetch(reference: Reference) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    check_id(reference.id)
    with _quiet_unless_watched():
        try:
            info = HfApi().model_info(reference.id, revision=reference.revision, timeout=SECONDS)
            names = [sibling.rfilename for sibling in info.siblings or ()]
            wanted = _choose(Reference(reference.id, info.sha), names)
            folder = Path(
                snapshot_download(
                    reference.id, revision=reference.revision, allow_patterns=[*map(glob.escape, wanted)]
                )
            )
        except failures() as error:
            return _fetch_from_cache(reference, error)
    if folder.name != info.sha:  # the branch moved in between
        return _fetch(reference)
    remember_path(_memory(Reference(reference.id, folder.name)), folder)
    return folder


def _fetch_from_cache(reference: Reference, error: Exception) -> Path:
    """The snapshot that the hub's cache holds, if the hub did not give one; else a clear error."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                reference.id,
                revision=reference.revision,
                local_files_only=True,
                allow_patterns=[*SETTINGS],
                ignore_patterns=["*/*"],
            )
        )
    except LocalEntryNotFoundError:
        raise _explain(reference, error) from error
    if not _has_weights(folder):
        raise _explain(reference, error) from error
    if not constants.is_offline_mode():
        print(f"{reference}: {_explain(reference, error)}", file=sys.stderr)
        print(f"{reference}: goes on with the commit in the cache, {folder.name}", file=sys.stderr)
    return folder


def _choose(reference: Reference, names: Collection[str]) -> list[str]:
    """The files to fetch: settings, and one form of the weights, without copies in other formats.

    Raises ValueError if the repository has no weights that can be read.
    """
    if MODEL_FOLDER in names:
        return [*names]
    settings = [name for name in names if "/" not in name and any(map(Path(name).match, SETTINGS))]
    for weights in WEIGHTS:
        if weights in names:
            return [*settings, weights]
        if f"{weights}.index.json" in names:
            return [*settings, *_shards(reference, f"{weights}.index.json")]
    converted = sorted(name for name in names if name.endswith(GGUF))
    if converted:
        raise ValueError(_convert(str(reference), reference.id, converted[0]))
    raise ValueError(
        f"{reference}: the hub's repository has no weights of transformers ({' or '.join(WEIGHTS)}); its files: "
        f"{', '.join(sorted(names)[:8]) or 'none'}; give a model, not an adapter or a data set"
    )


def _shards(reference: Reference, index: str) -> list[str]:
    """The files that an index of weights names."""
    from huggingface_hub import hf_hub_download

    found = read_json(hf_hub_download(reference.id, index, revision=reference.revision))
    return sorted(set(found["weight_map"].values()))


def _has_weights(folder: Path) -> bool:
    """Whether a snapshot has its configuration and all files of its weights; those of a model folder are checked on loading."""
    if (folder / MODEL_FOLDER).is_file():
        return True
    if not (folder / CONFIG).is_file():
        return False
    for weights in WEIGHTS:
        index = folder / f"{weights}.index.json"
        if (folder / weights).is_file():
            return True
        if index.is_file():
            shards = read_json(index).get("weight_map", {}).values()
            return all((folder / shard).is_file() for shard in shards)
    return False


def failures() -> tuple[type[Exception], ...]:
    """What `huggingface_hub` raises if the hub refuses or cannot be reached."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    # The errors of the HTTP client, httpx or its successor, have one base.
    client = next(kind for kind in HfHubHTTPError.__bases__ if kind.__module__.startswith("httpx"))
    return (client, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled)


def check_id(name: str) -> None:
    """Raise ValueError if the hub allows no repository of this id, such as one with ".." or "--" in it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f"{name!r} cannot be an id of the hub ({error}); check the spelling") from error


def _explain(reference: Reference, error: Exception) -> OSError:
    """A clear error for one of `failures`."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    page = f"{constants.ENDPOINT}/{reference.id}"
    if isinstance(error, GatedRepoError):
        return PermissionError(
            f"{reference}: the model is gated; accept its terms at {page}, then run `hf auth login` (or set HF_TOKEN)"
        )
    if isinstance(error, RevisionNotFoundError):
        return FileNotFoundError(
            f"{reference}: the hub's {reference.id} has no revision {reference.revision!r}; its branches, tags and commits "
            f"are at {page}/commits/main"
        )
    if isinstance(error, RepositoryNotFoundError):
        return FileNotFoundError(
            f"{reference}: no folder here and no model of that id on the hub ({constants.ENDPOINT}, {status}); check the "
            "spelling; of a private model, run `hf auth login` (or set HF_TOKEN)"
        )
    if status in (401, 403):
        return PermissionError(
            f"{reference}: the hub refuses it ({status}); see {page}, and run `hf auth login` (or set HF_TOKEN)"
        )
    if constants.is_offline_mode():
        reason = "HF_HUB_OFFLINE is set; with a network run"
    else:
        shown = f"status {status}" if status else f"{type(error).__name__}: {error}"
        reason = f"the hub ({constants.ENDPOINT}) cannot be reached ({shown}); when it can be, run"
    return FileNotFoundError(
        f"{reference}: no folder here, not whole in the hub's cache {constants.HF_HUB_CACHE}, and {reason}: "
        f"{reference.download_line}"
    )


def _convert(shown: str, folder: PathLike, file: str) -> str:
    """How a GGUF file becomes a folder of transformers."""
    return (
        f"{shown}: GGUF holds quantised weights, which auralign does not read; give the id or folder of the original model, or "
        f'convert it (pip install gguf): python -c "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; '
        f"[kind.from_pretrained('{folder}', gguf_file='{file}').save_pretrained('FOLDER') for kind in (M, T)]\""
    )


@contextlib.contextmanager
def _quiet_unless_watched() -> Iterator[None]:
    """Progress bars of a download on a terminal only; a log gets none."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
