"""Recordings of single digits in the layout of the Free Spoken Digit Dataset, joined to strings of digits.

recordings/7_jackson_32.wav       or       jackson/7_jackson_32.flac
<digit>_<speaker>_<take>
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy
import soundfile

import world
from auralign.builders.espeak import SAMPLE_RATE, resample

TAKE = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[A-Za-z0-9-]+)_(?P<take>[0-9]+)\.(wav|flac)")
ONE_TEST_SPEAKER_IN = 4
ONE_VALID_TAKE_IN = 10
MIN_TAKES = 2  # of each digit by a training speaker: one for train, one for valid


@dataclass(frozen=True)
class Take:
    """One recording of one digit."""

    digit: str
    speaker: str
    number: int
    path: Path


def find_takes(corpus):
    """All takes in a folder, in its `recordings` folder or in folders per speaker, in a fixed order.

    Raises
    ------
    FileNotFoundError : no such folder, or no file with a name of this pattern in it.
    ValueError : fewer than two speakers, or a speaker without a take of some digit.
    """
    corpus = Path(corpus)
    if not corpus.is_dir():
        raise FileNotFoundError(f"no folder of recordings at {corpus}; give --corpus the folder of the takes")
    found = [(TAKE.fullmatch(path.name), path) for path in (*corpus.glob("*"), *corpus.glob("*/*"))]
    takes = [
        Take(world.DIGITS[int(match["digit"])], match["speaker"], int(match["take"]), path)
        for match, path in found
        if match
    ]
    if not takes:
        raise FileNotFoundError(
            f"no recording named <digit>_<speaker>_<take>.wav or .flac in {corpus} or its folders; "
            "give --corpus the folder of such files"
        )
    takes.sort(key=lambda take: (take.speaker, take.digit, take.number, str(take.path)))
    check_takes(takes, corpus)
    return takes


def check_takes(takes, corpus):
    """Raise a ValueError if a split by speaker or a string of digits would be impossible."""
    speakers = sorted({take.speaker for take in takes})
    if len(speakers) < 2:
        raise ValueError(
            f"{corpus} has one speaker only, {speakers[0]}; add another, to be held out for test"
        )
    spoken = {(take.speaker, take.digit) for take in takes}
    for speaker in speakers:
        for digit in world.DIGITS:
            if (speaker, digit) not in spoken:
                raise ValueError(
                    f"{corpus} has no '{digit}' by speaker {speaker}; add a take or remove the speaker"
                )


def choose_test_speakers(takes, names=None):
    """Speakers to hold out: those named, else the last quarter of the sorted speakers, and at least one."""
    speakers = sorted({take.speaker for take in takes})
    if names is None:
        return speakers[-max(1, len(speakers) // ONE_TEST_SPEAKER_IN) :]
    for name in names:
        if name not in speakers:
            raise ValueError(f"no speaker '{name}' among the recordings; there are {', '.join(speakers)}")
    if set(names) == set(speakers):
        raise ValueError(f"--test-speakers {','.join(names)} leaves no speaker to train on; leave one out")
    return sorted(set(names))


def split_takes(takes, test_speakers, rng):
    """Put each take on one side only. Returns: split -> speaker -> digit -> takes."""
    sides = {"train": {}, "valid": {}, "test": {}}
    groups = {}
    for take in takes:
        groups.setdefault((take.speaker, take.digit), []).append(take)
    for (speaker, digit), group in groups.items():
        if speaker in test_speakers:
            sides["test"].setdefault(speaker, {})[digit] = group
            continue
        if len(group) < MIN_TAKES:
            raise ValueError(
                f"one take only of '{digit}' by training speaker {speaker}; record {MIN_TAKES} or more"
            )
        group = rng.sample(group, len(group))
        num_valid = max(1, len(group) // ONE_VALID_TAKE_IN)
        sides["valid"].setdefault(speaker, {})[digit] = group[:num_valid]
        sides["train"].setdefault(speaker, {})[digit] = group[num_valid:]
    return sides


def read_take(path):
    """Read one take as mono float32 samples at 16 kHz."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"cannot read the recording {path}: {error}; remove it or record it again"
        ) from error
    if len(samples) == 0:
        raise ValueError(f"the recording {path} is empty; remove it or record it again")
    return resample(samples.mean(axis=1), rate)


def join_takes(waveforms, rng):
    """Join digits to an utterance with pauses of 50 to 400 ms, a random level, and noise 25 to 40 dB below.

    Arguments
    ---------
    waveforms : list of float32 arrays (samples,) at 16 kHz
    rng : numpy.random.Generator

    Returns
    -------
    float32 array (samples,) at 16 kHz, within -1 to 1, and the seconds at which each digit begins.
    """
    parts = [_pause(rng)]
    for waveform in waveforms:
        # Speakers and takes differ in level by more than one speaker does within a string.
        parts += [waveform / max(1e-4, numpy.abs(waveform).max()), _pause(rng)]
    joined = numpy.concatenate(parts)
    starts = numpy.cumsum([len(part) for part in parts])[:-1:2] / SAMPLE_RATE
    level = numpy.sqrt(numpy.mean(joined**2)) * 10 ** (-rng.uniform(25, 40) / 20)
    joined = joined + level * rng.standard_normal(len(joined))
    gain = 10 ** (rng.uniform(-12, 0) / 20)
    return (joined * gain / numpy.abs(joined).max()).astype(numpy.float32), starts.tolist()


def _pause(rng):
    return numpy.zeros(int(rng.uniform(0.05, 0.4) * SAMPLE_RATE), dtype=numpy.float32)
