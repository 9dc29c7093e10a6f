"""The page in a real browser with a microphone that plays a file, and what it shows without one."""

import os
import re
import shutil
from argparse import Namespace

import pytest

import digits_model
from auralign.cli.arguments import bind
from auralign.demo.listener import Listener
from auralign.demo.reading import SENTENCES

gradio = pytest.importorskip("gradio")

from auralign.demo.page import _in_columns, launch, make_page  # noqa: E402

WAIT = 120_000  # milliseconds that a busy machine may take


def find_browser():
    names = (
        os.environ.get("CHROMIUM"),
        "chromium",
        "chromium-browser",
        "google-chrome",
        "chrome-headless-shell",
    )
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def url():
    page = make_page(
        Listener(digits_model.load(), without="the encoder has no decoder"),
        name="digits",
        sentences=[digits_model.WORDS, *SENTENCES],
        without="no examples here",
    )
    with bind(Namespace(host="127.0.0.1", port=0)) as probe:
        port = probe.getsockname()[1]
    yield launch(page, host="127.0.0.1", port=port)
    page.close()


@pytest.fixture
def browser_page(url, tmp_path):
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium on PATH; install one, or name it in the variable CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    import soundfile

    microphone = tmp_path / "microphone.wav"
    samples, rate = soundfile.read(digits_model.AUDIO)
    soundfile.write(microphone, samples, rate, subtype="PCM_16")
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser, args=options)
        page = chromium.new_context(
            permissions=["microphone"], viewport={"width": 1100, "height": 780}
        ).new_page()
        page.set_default_timeout(WAIT)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url)
        yield page
        chromium.close()


def record(page, area):
    """Record the microphone for a moment; `area` holds the recorder."""
    area.get_by_role("button", name="Record", exact=True).click()
    stop = area.get_by_role("button", name="Stop", exact=True)
    stop.wait_for()
    page.wait_for_timeout(1500)
    stop.click()
    area.get_by_role("button", name="Play", exact=True).wait_for()


def wait_for_text(page, selector):
    """The text of a box when it has come to rest."""
    page.wait_for_function(f"document.querySelector('{selector} textarea').value != ''")
    page.wait_for_function("!document.body.innerText.includes('processing')")
    return page.locator(f"{selector} textarea").input_value()


def test_recorded_speech_is_answered_beside_text(browser_page):
    page = browser_page
    area = page.get_by_role("tabpanel").first
    record(page, area)
    assert area.get_by_label("Share").count() == 0  # which sends the recording to a site
    area.get_by_label("Prompt").fill("repeat {speech}")
    area.get_by_label("What was said").fill(digits_model.WORDS)
    area.get_by_role("button", name="Ask", exact=True).click()
    assert wait_for_text(page, "#text").startswith("i heard")
    assert page.locator("#speech textarea").input_value()
    assert page.locator("#cascade textarea").input_value() == ""
    assert "there is none (the encoder has no decoder)" in page.content()
    if os.environ.get("AURALIGN_SCREENSHOT"):
        page.screenshot(path=os.environ["AURALIGN_SCREENSHOT"])
    elsewhere = [url for url in page.asked if not re.match(r"http://127\.0\.0\.1:|blob:|data:", url)]
    assert elsewhere == []


def test_a_sentence_that_is_read_aloud_is_scored(browser_page):
    page = browser_page
    page.get_by_role("tab", name="Read aloud").click()
    area = page.locator("[role=tabpanel]:visible")
    record(page, area)
    area.get_by_role("button", name="Score", exact=True).click()
    page.locator("#result").get_by_text("1 read").wait_for()
    assert re.search(r"1 read: word errors \d+%", page.locator("#result").inner_text())


def test_the_page_says_why_it_has_no_examples(browser_page):
    browser_page.get_by_role("tab", name="Right and wrong").click()
    browser_page.get_by_text("no examples here").wait_for()


def test_asking_nothing_is_named(browser_page, capsys):
    browser_page.get_by_role("button", name="Ask", exact=True).click()
    browser_page.get_by_text("Record something, upload a file, or type what was said.").wait_for()
    assert "Traceback" not in capsys.readouterr().err


def test_a_new_question_takes_the_old_answers_away():
    class Refused:
        def read(self, audio):
            raise ValueError("no audio")

    found = _in_columns(Refused(), "a.wav", "", "")
    assert next(found) == ("", "", "", "")
    with pytest.raises(gradio.Error, match="no audio"):
        next(found)
