"""Model folders and targets on the Hugging Face hub: `auralign push`, `auralign pull`.

    push_model("my_model", "me/my-model", license="apache-2.0")
    pull_model("me/my-model", "a_copy")
    push_targets(RunFolder.open("exp/synthetic/sift/seed_1"), "me/my-targets", license="cc-by-4.0")

A push is one commit: the hub has the new version or the old one. Files that the hub has beside those of the folder stay. Cards
and provenance name no folder of this machine.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auralign import __version__
from auralign.data.rejected import rejected_path
from auralign.files import hash_path, make_folder_atomically, read_json, without_folders
from auralign.hub import Reference, check_id, failures, parse, resolve
from auralign.marks import check_recorded
from auralign.method import cite
from auralign.publish import front_matter
from auralign.publish.model_folder import CARD, CONFIG, hub_id_of, read_config
from auralign.records import Target, check_header, read_about
from auralign.run_folder import SPLITS, RunFolder
from auralign.train.checkpoint import WEIGHTS

HUB_SPLITS = {"train": "train", "valid": "validation"}  # as the hub's viewer names them
PROVENANCE = "provenance.json"
THIS_FOLDER = '"THIS FOLDER"'  # in the card that export writes


def push_model(
    folder,
    name: str,
    *,
    license: str | None = None,
    datasets: Sequence[str] = (),
    languages: Sequence[str] = (),
    private: bool = False,
) -> tuple[str, list[str]]:
    """Upload a model folder to the hub.

    Arguments
    ---------
    folder : path
        Written by `auralign export`.
    name : str
        Id on the hub, `org/name`; the repository is made if it does not exist.
    license : str, optional
        The licence in the card, such as "apache-2.0"; default: what the card says, which is the licence that the LLM states.
    datasets, languages : sequence of str, optional
        Ids of the training data on the hub, and ISO 639 codes of its languages; default: what the card says.
    private : bool
        Whether a repository that is made is private; default False. One that is there and is public is an error then.

    Returns (str, list of str): the address of the commit, and notes: what others will miss.

    Raises
    ------
    FileNotFoundError : the folder is not a model folder.
    ValueError : the id has another form, or the folder's card has a broken front matter.
    PermissionError : the hub does not let this user write there.
    ConnectionError : the hub cannot be reached.
    """
    folder, reference = resolve(folder), _reference(name)
    config = read_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"no {WEIGHTS} in {folder}; export or copy the folder again")
    card = folder / CARD
    values, text = front_matter.split(card.read_text(encoding="utf-8") if card.is_file() else "")
    if license:
        values = {key: value for key, value in values.items() if key not in front_matter.LICENCE}
    given = {"license": license, "datasets": [*datasets], "language": [*languages]}
    values |= {key: value for key, value in given.items() if value}
    values.setdefault("library_name", "auralign")  # of a folder that an earlier auralign exported
    values.setdefault("pipeline_tag", front_matter.TASK)
    files, hidden = _files_of(folder)
    files[CARD] = front_matter.join(values, text.replace(THIS_FOLDER, f'"{reference.id}"')).encode("utf-8")
    notes = [
        f"its {part} is named by a folder of this machine, so that others must give theirs ({option} MODEL); train with the id "
        "of the hub to have it fetched"
        for part, option, account in (
            ("LLM", "--llm", config["llm"]),
            ("encoder", "--encoder", config["encoder"]),
            *(
                (f"encoder of the branch {name}", f"--branch {name}=", parts["encoder"])
                for name, parts in config.get("branches", {}).items()
            ),
        )
        if hub_id_of(account) is None
    ]
    if hidden:
        notes.append(f"left out, as hidden files are no part of a model: {', '.join(hidden)}")
    if "license" not in values:
        notes.append("its card states no licence; push again with --license")
    return _upload(reference.id, "model", files, private=private), notes


def pull_model(name: str, folder) -> None:
    """Copy a model folder of the hub to a local folder.

    Arguments
    ---------
    name : str
        Id on the hub, `org/name` or `org/name@revision`.
    folder : path
        Must not exist yet.

    Raises
    ------
    FileExistsError : the folder exists.
    ValueError : the id has another form, or its repository is not a model of auralign.
    FileNotFoundError, PermissionError : the hub has no such model, or does not give it to this user.
    """
    if Path(folder).exists():
        raise FileExistsError(f"{folder} is there already; give another name, or remove it")
    reference = _reference(name, revision=True)
    snapshot = resolve(
        f"{reference.id}@{reference.revision or 'main'}"
    )  # a folder of that name here is not meant
    if not (snapshot / CONFIG).is_file():
        raise ValueError(
            f"{name}: the hub's repository has no {CONFIG}, so it is not a model of auralign; a pretrained LLM or encoder "
            "needs no pull: give its id"
        )
    with make_folder_atomically(folder) as temporary:
        for path in filter(Path.is_file, snapshot.rglob("*")):
            target = temporary / path.relative_to(snapshot)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)  # the cache holds links


def push_targets(
    run: RunFolder,
    name: str,
    *,
    license: str | None = None,
    languages: Sequence[str] = (),
    private: bool = False,
) -> tuple[str, list[str]]:
    """Upload the targets of a run to the hub, as a data set of one JSON object a line that says how it was made.

    Arguments
    ---------
    run : RunFolder
    name : str
        Id on the hub, `org/name`; the repository is made if it does not exist.
    license : str, optional
        Licence of the data set, such as "cc-by-4.0". It depends on the LLM's licence and the corpus's, which the card names;
        default: none is stated.
    languages : sequence of str, optional
        ISO 639 codes; default: those of the training utterances.
    private : bool
        Whether a repository that is made is private; default False.

    Returns (str, list of str): the address of the commit, and notes.

    Raises FileNotFoundError if stage 2 is not finished, and else what `push_model` raises.
    """
    from auralign.stage import content

    reference = _reference(name)
    files: dict[str, Path | bytes] = {}
    counts = {}
    for split in SPLITS:
        path = run.targets(split)
        check_recorded(path, content(path, made_by="stage 2 (generate)"))
        with open(path, "rb") as file:
            check_header(file.readline(), Target, position=path)
            rows = file.read()
        files[f"data/{split}.jsonl"] = rows
        counts[split] = rows.count(b"\n")
    provenance = _provenance(run, counts)
    files[PROVENANCE] = (json.dumps(provenance, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    card = _targets_card(run, reference.id, provenance, license=license, languages=languages)
    files[CARD] = card.encode("utf-8")
    notes = [] if license else ["its card states no licence; push again with --license"]
    return _upload(reference.id, "dataset", files, private=private), notes


def _provenance(run: RunFolder, counts: Mapping[str, int]) -> dict[str, Any]:
    """What the targets were made of, and how; without folders of this machine."""
    recipe = run.recipe
    about, first = read_about(run.targets("train"), Target)
    account = read_json(run.data.account, keys=()) if run.data.account.is_file() else {}
    rejected = {split: rejected_path(run.targets(split)) for split in SPLITS}
    found = {
        "auralign": __version__,
        "method": recipe.method.name,
        "method_version": recipe.method.version,
        "paper": cite(recipe.method.paper),
        "options": recipe.method.options(),
        "llm": first.llm if first else None,
        "llm_revision": first.llm_revision if first else None,
        "llm_licence": front_matter.licence_of(getattr(recipe.llm, "keywords", {}).get("path")),
        "decoding": {"max_new_tokens": recipe.max_new_tokens, "temperature": recipe.temperature},
        "seed": recipe.seed,
        "prompts": about,
        "data": {"name": Path(recipe.train_folder or recipe.data_folder).name, **account},
        "targets": dict(counts),
        "rejected": {
            split: max(0, path.read_bytes().count(b"\n") - 1)
            for split, path in rejected.items()
            if path.is_file()
        },
        "sha256": {f"targets/{split}.jsonl": hash_path(run.targets(split)) for split in SPLITS},
    }
    return json.loads(without_folders(json.dumps(found, ensure_ascii=False)))


def _targets_card(
    run: RunFolder, name: str, provenance: dict, *, license: str | None, languages: Sequence[str]
) -> str:
    """The card of a data set of targets."""
    files = [
        {"split": HUB_SPLITS[split], "path": f"data/{split}.jsonl"}
        for split in SPLITS
        if provenance["targets"][split]
    ]
    num_targets = sum(provenance["targets"].values())
    values = {
        "license": license,
        "language": [*languages] or front_matter.languages_of(run.recipe),
        "task_categories": ["text-generation"],
        "tags": ["auralign", "speech-llm", "synthetic", provenance["method"]],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    licence = provenance["llm_licence"]
    stated = licence.get("license_name") or licence.get("license") or "not stated beside it; see its source"
    data = "; ".join(provenance["data"].get("parts", [])) or "see its source for its licence"
    text = f"""\
# Targets of {provenance["method"]}, written by {provenance["llm"]}

{num_targets} answers of a text LLM to the transcripts of a speech corpus: what a connector learns to draw from the same LLM when
it hears the speech. There is no audio here; `utt_id` names the utterance in the corpus.

| what | value |
|---|---|
| method | {provenance["method"]} {provenance["method_version"]}, {provenance["paper"]} |
| LLM | {provenance["llm"]}, content hash {provenance["llm_revision"]}; its licence: {stated} |
| corpus | {provenance["data"]["name"]}: {data} |
| decoding | {json.dumps(provenance["decoding"])}, seed {provenance["seed"]} |
| made with | auralign {provenance["auralign"]} |

`response` is the target; `finish_reason` "length" marks answers that were cut off; `choice` holds the instruction.
`{PROVENANCE}` has the options, the prompt and the SHA-256 of the files that were trained on.

## Licences

The targets are outputs of the LLM about texts of the corpus: the LLM's licence (what it says of its outputs) and the corpus's
hold for them.

    from datasets import load_dataset
    load_dataset("{name}")
"""
    return front_matter.join(values, text)


def _reference(name: str, *, revision: bool = False) -> Reference:
    """The id that a push or a pull names.

    Raises ValueError if it has not the form of one.
    """
    reference = parse(f"{name}@main" if "@" not in name else name)
    if reference is None or ("@" in name and not revision):
        raise ValueError(f"{name!r}: expected an id of the hub, org/name{' or org/name@revision' * revision}")
    check_id(reference.id)
    return Reference(reference.id, reference.revision if "@" in name else None)


def _files_of(folder: Path) -> tuple[dict[str, Path | bytes], list[str]]:
    """The files of a folder by their names there; and what is left out: `.git`, the `.cache` of the hub's client, `.env`."""
    files: dict[str, Path | bytes] = {}
    hidden: dict[str, None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        found = [part for part in name.parts if part.startswith(".") or part == "__pycache__"]
        if found:
            hidden[found[0]] = None
        elif path.is_file():
            files[name.as_posix()] = path
    return files, [*hidden]


def _upload(name: str, kind: str, files: Mapping[str, Path | bytes], *, private: bool) -> str:
    """Commit files to a repository, which is made if it does not exist; returns the commit's address."""
    from huggingface_hub import CommitOperationAdd, HfApi

    additions = [
        CommitOperationAdd(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()
    ]
    with _writing(name):
        HfApi().create_repo(name, repo_type=kind, private=private, exist_ok=True)
        if private and not HfApi().repo_info(name, repo_type=kind).private:
            raise ValueError(
                f"{name}: the repository is there already and is public; make it private on its page, or push to another"
            )
        message = f"Upload by auralign {__version__}"
        return str(HfApi().create_commit(name, additions, commit_message=message, repo_type=kind).commit_url)


@contextlib.contextmanager
def _writing(name: str) -> Iterator[None]:
    """Context manager around an upload: what the hub refuses is one clear error."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise PermissionError(
                f"{name}: the hub refuses to write ({status}); run `hf auth login` with a token that may write to "
                f"{name.partition('/')[0]}, or set HF_TOKEN"
            ) from error
        raise ConnectionError(f"{name}: the hub answers {status} ({' '.join(str(error).split())})") from error
    except failures() as error:
        if constants.is_offline_mode():
            raise ConnectionError(f"{name}: HF_HUB_OFFLINE is set; unset it to write to the hub") from error
        raise ConnectionError(
            f"{name}: the hub ({constants.ENDPOINT}) cannot be reached ({type(error).__name__}: {error}); try again"
        ) from error
