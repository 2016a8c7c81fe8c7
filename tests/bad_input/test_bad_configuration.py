"""A configuration that cannot be, through a command of every layer."""

from pathlib import Path

import pytest

from tests.bad_input.command import files, run

pytestmark = pytest.mark.slow

OFFLINE, NEARLINE, ONLINE = ("offline", "nightly"), ("nearline", "worker"), ("online", "page", "m1")
CASES = [
    (OFFLINE, "[lake]\nrot = 'x'", "[lake] has an unknown key 'rot'; known keys: root"),
    (NEARLINE, "[lake]\nrot = 'x'", "[lake] has an unknown key 'rot'; known keys: root"),
    (ONLINE, "[lake]\nrot = 'x'", "[lake] has an unknown key 'rot'; known keys: root"),
    (OFFLINE, "[lak]\nroot = 'x'", "the file has an unknown key 'lak'; known keys: redis, kafka, lake, spark,"),
    (NEARLINE, "lake = 'x'", "lake is expected to be a section, written [lake]"),
    (ONLINE, "[spark]\nshuffle_partitions = '8'", "[spark] shuffle_partitions: expected `int`, got `str`"),
    (OFFLINE, "[training]\nfactors = 0", "[training] factors: expected `int` >= 1"),
    (NEARLINE, "[redis]\nurl = ", "not valid TOML: Invalid value (at end of document)"),
]


@pytest.mark.parametrize(("command", "text", "sentence"), CASES)
def test_a_wrong_configuration(tmp_path: Path, command: tuple[str, ...], text: str, sentence: str) -> None:
    (tmp_path / "marquee.toml").write_text(text)
    assert run(tmp_path, *command).sentence.startswith(f"marquee.toml: {sentence}")
    assert files(tmp_path) == {tmp_path / "marquee.toml"}


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        ("", "[lake] root is empty; a folder or a URL such as s3a://bucket/lake is expected"),
        ("ftps://host/lake", "[lake] root 'ftps://host/lake' is a URL that cannot be read here: Protocol not known: ftps"),
        ("file://host/lake", "[lake] root 'file://host/lake' names a host; a folder is written file:///folder"),
    ],
)
def test_a_lake_that_nothing_can_reach(tmp_path: Path, root: str, sentence: str) -> None:
    (tmp_path / "marquee.toml").write_text(f'[lake]\nroot = "{root}"\n')
    assert run(tmp_path, "offline", "runs").sentence == sentence


def test_a_configuration_that_the_local_stack_could_not_complete(tmp_path: Path) -> None:
    (tmp_path / "marquee.toml").write_text("[lake]\nrot = 1\n")
    sentence = run(tmp_path, "infra.local", "up", "--root", tmp_path).sentence
    assert sentence == f"{tmp_path}/marquee.toml: [lake] has an unknown key 'rot'; known keys: root"
    assert not (tmp_path / "stack" / "kafka").exists() and not (tmp_path / "stack" / "redis").exists()
