"""Finding Java: scripts that only tell a version stand for the programs, since only that is asked of them."""

from pathlib import Path

import pytest

from shared.errors import UnavailableError
from shared.java import find_java, java_version


def java_home(folder: Path, version: str, *, as_release_file: bool = False) -> Path:
    """A Java home whose `bin/java` tells `version`."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n" if version else "#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    if as_release_file:
        program.write_text("#!/bin/sh\nexit 1\n")
        (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("version", "major"), [("17.0.15", 17), ("1.8.0_392", 8), ("21", 21), ("25-ea", 25), ("11.0.2", 11), ("9", 9)]
)
def test_the_major_version_is_read_from_what_java_says(tmp_path: Path, version: str, major: int) -> None:
    assert java_version(java_home(tmp_path / "a", version) / "bin" / "java") == major
    assert java_version(java_home(tmp_path / "b", version, as_release_file=True) / "bin" / "java") == major


def test_java_home_comes_before_the_path_and_the_usual_folders(tmp_path: Path) -> None:
    homes = {name: java_home(tmp_path / name, "17.0.1") for name in ("home", "path", "usual")}
    environment = {"JAVA_HOME": str(homes["home"]), "PATH": str(homes["path"] / "bin")}
    folders = [str(tmp_path / "usu*")]
    assert find_java(environment, folders) == homes["home"] / "bin" / "java"
    assert find_java({"PATH": environment["PATH"]}, folders) == homes["path"] / "bin" / "java"
    assert find_java({"PATH": ""}, folders) == homes["usual"] / "bin" / "java"


def test_an_unfit_java_home_does_not_hide_a_fit_java(tmp_path: Path) -> None:
    old, fit = java_home(tmp_path / "old", "1.8.0_392"), java_home(tmp_path / "fit", "21.0.2")
    assert find_java({"JAVA_HOME": str(old), "PATH": str(fit / "bin")}, []) == fit / "bin" / "java"


def test_each_unfit_java_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    old, new = java_home(tmp_path / "old", "1.8.0_392"), java_home(tmp_path / "new", "25")
    mute = java_home(tmp_path / "mute", "")
    with pytest.raises(UnavailableError) as caught:
        find_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")}, [str(mute)])
    said = str(caught.value)
    assert f"Java 8 at {old}/bin/java, which is too old" in said
    assert f"Java 25 at {new}/bin/java, which is too new" in said
    assert f"{mute}/bin/java, which tells no version" in said
    assert "need Java 17 or 21" in said
    assert "openjdk-17-jre-headless" in said
    assert "\n" not in said


def test_no_java_at_all_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="need Java 17 or 21, but none was found; install one"):
        find_java({"PATH": str(tmp_path)}, [])
    with pytest.raises(UnavailableError, match=f"none was found, and JAVA_HOME={tmp_path} has no bin/java"):
        find_java({"PATH": "", "JAVA_HOME": str(tmp_path)}, [])
