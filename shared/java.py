"""Finds the Java that Spark and Kafka run on. Standard library only: set-up calls it before anything is installed."""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared.errors import UnavailableError

SUPPORTED = (17, 21)
"""Major versions that Spark 4.0 and Kafka 4.1 both support."""

USUAL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/usr/local/openjdk-*",
    "~/.sdkman/candidates/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
)
"""Where Java is looked for after JAVA_HOME and the PATH."""

VERSION_LIMIT_S = 20.0


def find_java(environment: Mapping[str, str] | None = None, folders: Sequence[str] = USUAL_FOLDERS) -> Path:
    """Find a `java` program of a supported version: $JAVA_HOME, then the PATH, then `folders`.

    Parameters
    ----------
    environment : None takes this process's own.
    folders : glob patterns of Java homes.

    Returns
    -------
    The program with links resolved, so that `path.parent.parent` serves as JAVA_HOME.

    Raises
    ------
    UnavailableError : none is there; names each one that was found and why it does not do.
    """
    env = os.environ if environment is None else environment
    rejected: dict[Path, str] = {}
    for place in _candidates(env, folders):
        java = place.resolve()
        if java in rejected:
            continue
        try:
            version = java_version(java)
        except UnavailableError as error:
            rejected[java] = str(error)
            continue
        if version in SUPPORTED:
            return java
        rejected[java] = f"Java {version} at {place}, which is too {'old' if version < SUPPORTED[0] else 'new'}"
    wanted = " or ".join(str(version) for version in SUPPORTED)
    found = f"found only {'; '.join(rejected.values())}" if rejected else "none was found"
    if not rejected and env.get("JAVA_HOME"):
        found += f", and JAVA_HOME={env['JAVA_HOME']} has no bin/java"
    raise UnavailableError(
        f"Spark 4.0 and Kafka need Java {wanted}, but {found}; install one (on Debian: apt-get install "
        f"openjdk-17-jre-headless) or set JAVA_HOME to one"
    )


def java_version(path: Path) -> int:
    """Major version of the `java` program at `path`, such as 17; 8 for what calls itself 1.8.

    Raises
    ------
    UnavailableError : the program does not start, or says no version.
    """
    said = _release_file(path) or _asked(path)
    match = re.search(r"(\d+)(?:\.(\d+))?", said)
    if match is None:
        raise UnavailableError(f"{path}, which tells no version")
    first, second = int(match[1]), int(match[2] or 0)
    return second if first == 1 else first


def _candidates(env: Mapping[str, str], folders: Sequence[str]) -> Iterator[Path]:
    home = env.get("JAVA_HOME")
    if home and os.access(Path(home, "bin", "java"), os.X_OK):
        yield Path(home, "bin", "java")
    on_path = shutil.which("java", path=env.get("PATH", os.defpath))
    if on_path:
        yield Path(on_path)
    for pattern in folders:
        for folder in sorted(glob.glob(os.path.expanduser(pattern))):  # noqa: PTH111, PTH207 - no home is no error
            if os.access(Path(folder, "bin", "java"), os.X_OK):
                yield Path(folder, "bin", "java")


def _release_file(java: Path) -> str:
    """The version from the `release` file beside `bin`: no JVM start needed. Empty when there is none."""
    try:
        text = (java.resolve().parent.parent / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    return match[1] if match else ""


def _asked(java: Path) -> str:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace", timeout=VERSION_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{java}, which does not start ({error})") from None
    match = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return match[1] if match else ""
