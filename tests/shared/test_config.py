"""The configuration: defaults, overrides, and one clear sentence for every mistake."""

from pathlib import Path

import pytest

from shared import config
from shared.config import Config
from shared.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "marquee.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    loaded = config.load(written(tmp_path, '[redis]\nurl = "redis://elsewhere:1/0"\n[training]\nfactors = 32\n'))
    assert loaded.redis.url == "redis://elsewhere:1/0"
    assert loaded.training.factors == 32
    assert loaded.kafka == Config().kafka


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[redis]\nurll = 'x'", r"\[redis\] has an unknown key 'urll'; known keys: url, namespace"),
        ("[bogus]\nx = 1", "the file has an unknown key 'bogus'; known keys: redis, kafka"),
        ("[redis]\ntimeout_s = 'soon'", r"\[redis\] timeout_s: expected `float`, got `str`"),
        ("[redis", "not valid TOML"),
    ],
)
def test_a_mistake_names_file_section_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=sentence) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        config.load(tmp_path / "none.toml")


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_REDIS_PASSWORD", "hush")
    assert config.load(written(tmp_path, "")).redis.password == "hush"


def test_without_a_file_the_usual_places_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MARQUEE_CONFIG", raising=False)
    assert config.load() == Config()
    (tmp_path / ".marquee").mkdir()
    (tmp_path / ".marquee" / "marquee.toml").write_text("[online]\nrows = 3\n", encoding="utf-8")
    assert config.load().online.rows == 3
    written(tmp_path, "[online]\nrows = 4\n")
    assert config.load().online.rows == 4
