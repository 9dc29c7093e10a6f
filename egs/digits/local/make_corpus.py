"""Make the speech of the digits example: synthetic strings of digits, or recorded digits joined to strings.

    python make_corpus.py --speech synthetic --output corpus/synthetic --seed 1
    python make_corpus.py --speech recorded --corpus DIR --output corpus/recorded --seed 1

An interrupted run is finished by the same command: files that are there are kept, and end up the same bytes.

Reads: nothing (synthetic), or a folder of <digit>_<speaker>_<take>.wav or .flac files (recorded).
Writes: <output>/<split>/<id>.flac (16 kHz, mono, 16 bit; in its comment the seconds at which each word begins); last,
        <output>/labels.jsonl, an utterance a line.
"""

import argparse
import functools
import io
import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import world
from auralign import script
from auralign.files import hash_path, write_atomically
from auralign.progress import track

# What makes speech is imported where it is used: a finished corpus is found in a tenth of a second.
# espeak-ng's English accents and voice variants. A variant of test never speaks in training.
ACCENTS = (
    "en",
    "en-us",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-029",
    "en-us-nyc",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
TRAIN_VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "f1", "f2", "f4", "Alex", "Alicia", "Andy", "Annie", "Denis", "Diogo",
    "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Reed", "adam",
    "announcer", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward",
    "grandma", "grandpa", "ian", "iven", "john", "linda", "marcelo", "max", "michel", "miguel", "norbert",
    "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor",
    "zac",
)  # fmt: skip
TEST_VARIANTS = ("m5", "m7", "m8", "f3", "f5", "Andrea")
ACCENTS_PER_VARIANT = 2
MIN_DIGITS, MAX_DIGITS = 2, 7
SHARE_WITH_COMMAND = 0.3
WORDS_PER_MINUTE = (110, 190)
PITCH = (30, 70)  # espeak-ng's scale; 50 is the voice's own
TAKES_IN_MEMORY = 4096
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Plan:
    """An utterance to be made: what is said, by whom, and the name of its random numbers."""

    id: str
    split: str
    speaker: str
    content: tuple[str, ...]
    seed: str


def voices(variants):
    """Pair each variant with accents in turn, so that all accents are about equally frequent."""
    pairs = [(number, variant) for number, variant in enumerate(variants)]
    return [
        f"{ACCENTS[(number * ACCENTS_PER_VARIANT + turn) % len(ACCENTS)]}+{variant}"
        for number, variant in pairs
        for turn in range(ACCENTS_PER_VARIANT)
    ]


def plan_utterances(speech, split, num_utts, speakers, seed):
    """Draw what each utterance of a split says. Strings of valid and test occur nowhere in train."""
    plans = []
    for index in range(num_utts):
        name = f"{seed}-{speech}-{split}-{index}"
        rng = random.Random(name)
        speaker = speakers[index % len(speakers)]
        digits = world.draw_digits(rng, MIN_DIGITS, MAX_DIGITS, held_out=split != "train")
        spoken = []
        if speech == "synthetic" and rng.random() < SHARE_WITH_COMMAND:
            spoken = [world.TASKS[rng.choice(world.HEARD_COMMANDS)].command]
        utt_id = f"{speech}-{split}-{short_name(speaker)}-{index + 1:04d}"
        plans.append(Plan(utt_id, split, speaker, (*spoken, *digits), name))
    return plans


def short_name(speaker):
    """A speaker's name for utterance ids: en-us+f3 -> f3enus."""
    accent, _, variant = speaker.rpartition("+")
    return "".join(letter for letter in variant + accent if letter.isalnum())


class SyntheticSpeech:
    """Speech by espeak-ng, each utterance with its own rate and pitch."""

    def __init__(self, options):
        self.speakers = {
            "train": voices(TRAIN_VARIANTS), "valid": voices(TRAIN_VARIANTS), "test": voices(TEST_VARIANTS)
        }  # fmt: skip

    def make(self, plan):
        from auralign.builders.espeak import say

        rate, pitch = self._draw(plan)
        return say(" ".join(plan.content), voice=plan.speaker, words_per_minute=rate, pitch=pitch)

    def attributes(self, plan):
        """How it is said, in words: by thirds of what is drawn."""
        rate, pitch = self._draw(plan)
        return {
            "speed": _third(rate, WORDS_PER_MINUTE, ("slow", "medium", "fast")),
            "pitch": _third(pitch, PITCH, ("low", "medium", "high")),
        }

    def _draw(self, plan):
        rng = random.Random(plan.seed + "-voice")
        return rng.randint(*WORDS_PER_MINUTE), rng.randint(*PITCH)


def _third(value, bounds, names):
    low, high = bounds
    return names[min(2, 3 * (value - low) // (high - low))]


class RecordedSpeech:
    """Recorded single digits, joined."""

    def __init__(self, options):
        import recordings

        takes = recordings.find_takes(options.corpus)
        test_speakers = recordings.choose_test_speakers(takes, options.test_speakers)
        self._sides = recordings.split_takes(takes, test_speakers, random.Random(f"{options.seed}-takes"))
        self.speakers = {split: sorted(side) for split, side in self._sides.items()}
        self._read = functools.lru_cache(TAKES_IN_MEMORY)(recordings.read_take)
        self._join = recordings.join_takes

    def attributes(self, plan):
        """Nothing is known of how it is said."""
        return {}

    def make(self, plan):
        import numpy

        rng = random.Random(plan.seed + "-takes")
        spoken = self._sides[plan.split][plan.speaker]
        waveforms = [self._read(rng.choice(spoken[digit]).path) for digit in plan.content]
        return self._join(waveforms, numpy.random.default_rng(rng.getrandbits(64)))


def encode_flac(samples, starts):
    """Float samples (N,) at 16 kHz -> the bytes of a 16-bit FLAC file, with the words' starts in its comment."""
    import soundfile

    from auralign.builders.espeak import SAMPLE_RATE

    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", SAMPLE_RATE, channels=1, format="FLAC", subtype="PCM_16") as file:
        file.comment = json.dumps([round(start, 4) for start in starts])
        file.write(samples)
    return data.getvalue()


def write_audio(path, samples, starts):
    # No flush to disk, unlike write_atomically: thousands of small files, each of which can be made again.
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(encode_flac(samples, starts))
    os.replace(temporary, path)


def start_folder(folder, settings):
    """Keep the finished files of an interrupted run with the same settings, and nothing of any other run."""
    if not has_settings(folder, settings):
        (folder / "labels.jsonl").unlink(missing_ok=True)
        for split in ("train", "valid", "test"):
            shutil.rmtree(folder / split, ignore_errors=True)
        with write_atomically(folder / SETTINGS) as file:
            file.write(text_of(settings))


def has_settings(folder, settings):
    """Whether what is in a folder was made, or begun, with these settings."""
    marker = folder / SETTINGS
    return marker.is_file() and marker.read_text() == text_of(settings)


def text_of(settings):
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"


def label(plan, audio, folder, attributes):
    """The line of labels.jsonl for a finished audio file."""
    import soundfile

    command, digits = world.split_content(plan.content)
    with soundfile.SoundFile(audio) as file:
        seconds, starts = file.frames / file.samplerate, json.loads(file.comment)
    ends = [*starts[1:], seconds]
    return {
        "id": plan.id,
        "split": plan.split,
        "audio": audio.relative_to(folder).as_posix(),
        "seconds": seconds,
        "text": " ".join(plan.content),
        "speaker": plan.speaker,
        "task": command,
        "digits": digits,
        "attributes": attributes,
        "words": list(zip(plan.content, starts, ends, strict=True)),
    }


def settings_of(options):
    """What the corpus depends on."""
    settings = {name: value for name, value in vars(options).items() if name != "output"}
    settings["word times"] = True
    if options.corpus is not None:  # recordings that were mended are joined anew
        settings["recordings"] = hash_path(options.corpus)
    return settings


def is_finished(options):
    """Whether the corpus was made to its end with these options, and no audio file is missing."""
    folder = Path(options.output)
    labels = folder / "labels.jsonl"  # written last
    if not (labels.is_file() and has_settings(folder, settings_of(options))):
        return False
    with open(labels, encoding="utf-8") as lines:
        return all((folder / json.loads(line)["audio"]).is_file() for line in lines)


def make_corpus(options):
    """Make what is missing of the corpus. Returns: number of utterances made now."""
    if is_finished(options):
        return 0
    speech = {"synthetic": SyntheticSpeech, "recorded": RecordedSpeech}[options.speech](options)
    folder = Path(options.output)
    settings = settings_of(options)
    start_folder(folder, settings)
    counts = {"train": options.num_train, "valid": options.num_valid, "test": options.num_test}
    plans = []
    for split, num_utts in counts.items():
        (folder / split).mkdir(exist_ok=True)
        plans += plan_utterances(options.speech, split, num_utts, speech.speakers[split], options.seed)
    labels, num_made = [], 0
    for plan in track(plans, f"{options.speech} speech", unit="utterance"):
        audio = folder / plan.split / f"{plan.id}.flac"
        if not audio.is_file():
            write_audio(audio, *speech.make(plan))
            num_made += 1
        labels.append(label(plan, audio, folder, speech.attributes(plan)))
    with write_atomically(folder / "labels.jsonl") as file:
        file.writelines(json.dumps(line) + "\n" for line in labels)
    return num_made


def parse_options(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", choices=("synthetic", "recorded"), default="synthetic")
    parser.add_argument("--corpus", help="folder of recorded digits; for --speech recorded")
    parser.add_argument(
        "--test-speakers", type=lambda names: names.split(","), help="recorded speakers to hold out: a,b"
    )
    parser.add_argument("--output", required=True, help="folder of the corpus")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--num-train", type=int, default=3000, help="utterances")
    parser.add_argument("--num-valid", type=int, default=100, help="utterances")
    parser.add_argument("--num-test", type=int, default=300, help="utterances")
    options = parser.parse_args(arguments)
    if (options.speech == "recorded") != (options.corpus is not None):
        parser.error(
            "--speech recorded and --corpus DIR go together: DIR holds the recordings of single digits"
        )
    return options


def main(argv):
    options = parse_options(argv)
    num_made = make_corpus(options)
    total = options.num_train + options.num_valid + options.num_test
    print(f"{options.output}: {total} utterances, {num_made} of them made now")


if __name__ == "__main__":
    script.run(main)
