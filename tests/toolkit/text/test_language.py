import pytest

from auralign.text.language import main_code


@pytest.mark.parametrize(
    ("language", "code"), [("de", "de"), ("zh-CN", "zh"), ("sv-SE", "sv"), ("EN_us", "en")]
)
def test_a_region_is_left_aside(language, code):
    assert main_code(language) == code


@pytest.mark.parametrize("language", ["German", "", None, "中文"])
def test_a_name_is_no_code(language):
    with pytest.raises(ValueError, match="give one such as"):
        main_code(language)
