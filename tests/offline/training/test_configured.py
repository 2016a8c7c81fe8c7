"""What marquee.toml says about models reaches them, and mistakes in it are named."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from offline.__main__ import main
from offline.models import Blend
from offline.training.configured import configured_model, settings_of
from shared import config
from shared.errors import ConfigError


def training(folder: Path, text: str) -> config.TrainingConfig:
    (folder / "marquee.toml").write_text(text)
    return config.load(folder / "marquee.toml").training


def test_settings_reach_the_sources_of_the_blend(tmp_path: Path) -> None:
    own = "[training.settings.ials]\ninitial_spread = 0.2\n[training.settings.blend]\nsources = 'ials'\n"
    found = training(tmp_path, "[training]\nfactors = 32\nseed = 3\n" + own)
    model = configured_model(found)
    assert isinstance(model, Blend)
    assert (model.settings.sources, model.settings.seed) == ("ials", 3)
    assert model.settings.parts["ials"] == settings_of(found, "ials")
    alone = configured_model(found, "ials").settings
    assert (alone.factors, alone.initial_spread, alone.seed, alone.device) == (32, 0.2, 3, "auto")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('model = "oracle"', "model is 'oracle'; expected one of "),
        ("settings = { oracle = { a = 1 } }", r"\[training.settings.oracle\]: there is no such model"),
        ("settings = { ials = { colour = 1 } }", "unknown setting 'colour'"),
        ('settings = { blend = { sources = "oracle" } }', r"\[training.settings.blend\]: unknown model 'oracle'"),
        ('settings = { blend = { depth = "many" } }', "depth is 'many'"),
    ],
)
def test_mistakes_are_named(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        configured_model(training(tmp_path, f"[training]\n{text}\n"))


@pytest.mark.parametrize(
    ("text", "command", "reason"),
    [
        ("model = 'oracle'", "nightly", "[training] model is 'oracle'; expected one of "),
        ("settings = { ials = { colour = 1 } }", "candidates", "[training.settings.blend]: "),
        ("", "train --model oracle", "unknown model 'oracle'; expected one of "),
        ("", "evaluate --model ials --set colour=1", "model 'ials': unknown setting 'colour'"),
        ("", "evaluate --metrics auc@3", "unknown metric 'auc@3'"),
    ],
)
def test_mistakes_are_told_before_spark_starts(
    text: str, command: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marquee.toml").write_text(f"[training]\n{text}\n")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command.split())
    assert (result.exit_code, result.output.partition(reason)[0]) == (2, "error: ")
    assert list(tmp_path.iterdir()) == [tmp_path / "marquee.toml"]  # Spark would have made the lake's folder
