"""The jars that do not come with pyspark: Spark's Delta and Kafka connectors, and Kafka's own broker.

They are resolved from Maven coordinates by the Ivy that ships inside pyspark, once, into a cache folder that all
checkouts share. Standard library only; pyspark is located, not imported.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from shared.errors import UnavailableError
from shared.java import find_java

USAGE = """\
usage: python -m shared.jars spark|kafka

Print the jars that do not come with pyspark, comma-separated, fetched first where they are not in the cache:
  spark   Delta's and Kafka's connectors:  spark-submit --jars "$(python -m shared.jars spark)" infra/submit.py nightly
  kafka   the class path of a Kafka broker
"""
RESOLVE_LIMIT_S = 600.0
TRIES = 2  # a dropped connection is common enough; Ivy's own cache keeps what the first try brought


@dataclass(frozen=True)
class JarSet:
    """Jars that are resolved together."""

    name: str
    coordinates: tuple[str, ...]  # organisation:module:revision
    beside_spark: bool  # leave out what pyspark ships already


SPARK = JarSet(
    "spark",
    (
        "io.delta:delta-spark_4.0_2.13:4.4.0",
        # The newest whose companion spark-token-provider-kafka-0-10 resolves; it runs on every Spark 4.0.x.
        "org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0",
    ),
    beside_spark=True,
)
KAFKA = JarSet(
    "kafka",
    (
        "org.apache.kafka:kafka_2.13:4.1.0",
        # Without a binding for slf4j the broker logs nothing at all.
        "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
    ),
    beside_spark=False,
)


def spark_jars() -> list[Path]:
    """Jars to give Spark as `spark.jars`, resolved first where they are not in the cache.

    Raises
    ------
    UnavailableError : pyspark or Java is missing, or a coordinate cannot be resolved; says which.
    """
    return resolve(SPARK)


def kafka_jars() -> list[Path]:
    """Class path of the Kafka broker, resolved first where it is not in the cache. Raises as `spark_jars`."""
    return resolve(KAFKA)


def cache_root() -> Path:
    """Folder of what can be fetched again: $MARQUEE_CACHE, else $XDG_CACHE_HOME/marquee, else ~/.cache/marquee."""
    named = os.environ.get("MARQUEE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "marquee"


def resolve(jars: JarSet) -> list[Path]:
    """Paths of the jars of one set, in the cache. Raises as `spark_jars`."""
    pyspark = _pyspark_jars()
    provided = _names(pyspark) if jars.beside_spark else []
    key = hashlib.sha256("\n".join((*jars.coordinates, *provided)).encode()).hexdigest()[:12]
    folder = cache_root() / "jars" / f"{jars.name}-{key}"
    present = complete(folder)
    if present:
        return present
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / ".lock"):
            return complete(folder) or _fetch(jars, pyspark, provided, folder)
    except OSError as error:
        raise UnavailableError(f"{folder}: the jars cannot be kept there ({error})") from None


def complete(folder: Path) -> list[Path]:
    """Paths of the jars of a cache folder whose manifest agrees with what lies there; else an empty list."""
    try:
        sizes = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return []
    return [folder / name for name in sorted(sizes)] if whole else []


def _fetch(jars: JarSet, pyspark: Path, provided: list[str], folder: Path) -> list[Path]:
    ivy_jar = next(iter(sorted(pyspark.glob("ivy-*.jar"))), None)
    if ivy_jar is None:
        raise UnavailableError(f"{pyspark}: pyspark ships no ivy-*.jar there, which resolves the jars")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as temporary:
        wish = Path(temporary, "ivy.xml")
        wish.write_text(_ivy_file(jars, provided), encoding="utf-8")
        fetched = Path(temporary, "jars")
        fetched.mkdir()
        command = [
            str(find_java()),
            "-Xmx256m",
            f"-Divy.home={cache_root() / 'ivy'}",
            *_proxy_options(os.environ),
            *("-jar", str(ivy_jar), "-ivy", str(wish), "-confs", "default"),
            *("-retrieve", f"{fetched}/[artifact]-[revision](-[classifier]).[ext]", "-types", "jar", "bundle"),
        ]
        settings = os.environ.get("MARQUEE_IVY_SETTINGS")  # for a mirror of one's own
        _run_ivy([*command, "-settings", settings] if settings else command, jars)
        sizes = {jar.name: jar.stat().st_size for jar in fetched.glob("*.jar")}
        if not sizes:
            raise UnavailableError(f"Ivy brought no jar for {' and '.join(jars.coordinates)}")
        (fetched / "manifest.json").write_text(json.dumps(sizes, indent=1, sort_keys=True), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # what is there is incomplete
        fetched.rename(folder)
    return complete(folder)


def _run_ivy(command: list[str], jars: JarSet) -> None:
    what = " and ".join(jars.coordinates)
    said = ""
    deadline = time.monotonic() + RESOLVE_LIMIT_S
    for _ in range(TRIES):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=max(1.0, deadline - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"{what}: not resolved within {RESOLVE_LIMIT_S:.0f} s") from None
        said = done.stdout + done.stderr
        if done.returncode == 0 and "UNRESOLVED DEPENDENCIES" not in said:
            return
    reasons = [line for line in said.splitlines() if re.search(r"not found|FAILED|refused|Unknown ?Host|timed out", line)]
    reason = " ".join((reasons or said.splitlines() or ["no reason given"])[0].split())
    raise UnavailableError(f"{what}: cannot be resolved as Maven coordinates ({reason}); is a Maven repository reachable?")


def _ivy_file(jars: JarSet, provided: list[str]) -> str:
    """An ivy.xml that asks for the set without the modules named in `provided`."""
    lines = ['<ivy-module version="2.0"><info organisation="marquee" module="jars"/>']
    lines.append('<configurations><conf name="default"/></configurations><dependencies>')
    for coordinate in jars.coordinates:
        organisation, module, revision = coordinate.split(":")
        lines.append(f'<dependency org="{organisation}" name="{module}" rev="{revision}" conf="default->default"/>')
    lines += [f"<exclude module={quoteattr(name)}/>" for name in provided]
    return "\n".join([*lines, "</dependencies></ivy-module>"])


def _pyspark_jars() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError("pyspark is not installed in this Python, and its Ivy resolves the jars: run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)), "jars")


def _names(folder: Path) -> list[str]:
    """Module names of the jars in a folder. Where a name is ambiguous (zstd-jni-1.5.6-9) both readings are kept."""
    names: set[str] = set()
    for jar in folder.glob("*.jar"):
        for pattern in (r"(.+)-\d", r"(.+?)-\d"):
            match = re.match(pattern, jar.stem)
            if match:
                names.add(match[1])
    return sorted(names)


def _proxy_options(env: Mapping[str, str]) -> list[str]:
    """Java takes no proxy from the environment by itself."""
    options: list[str] = []
    for scheme in ("http", "https"):
        proxy = urlsplit(env.get(f"{scheme}_proxy") or env.get(f"{scheme.upper()}_PROXY") or "")
        if proxy.hostname:
            options += [f"-D{scheme}.proxyHost={proxy.hostname}", f"-D{scheme}.proxyPort={proxy.port or 80}"]
    return options


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock against other processes, waiting no longer than one resolution may take."""
    deadline = time.monotonic() + RESOLVE_LIMIT_S
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnavailableError(f"{path}: another process has held this lock for too long") from None
                time.sleep(0.2)
        yield


def main(arguments: Sequence[str]) -> int:
    """Print the jars of one set in one line, as spark-submit's --jars takes them; gives the exit code."""
    sets = {SPARK.name: SPARK, KAFKA.name: KAFKA}
    if list(arguments) == ["--help"]:
        sys.stdout.write(USAGE)
        return 0
    if len(arguments) != 1 or arguments[0] not in sets:
        sys.stderr.write(USAGE)
        return 2
    try:
        sys.stdout.write(",".join(str(jar) for jar in resolve(sets[arguments[0]])) + "\n")
    except UnavailableError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
