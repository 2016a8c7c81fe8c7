"""`verify`: opens an audit on the real servers and tells how it went. `repair` opens and tells its audits here too."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import msgspec

from nearline.auditing.audit import Auditor, Bar, Report
from nearline.auditing.log_fold import Log
from nearline.auditing.log_reader import LogReader
from shared import config as configuration
from shared import store
from shared.config import Config
from shared.errors import InputError

SHOWN = 20
"""Members that are named on the screen."""
FAILED_EXIT_CODE = 1

_ROWS = (
    ("equal", "byte for byte the fold of the log"),
    ("contained", "all of the log is in them; the rest is older than the log, or imported"),
    ("waiting", "equal as far as they go; no worker has taken in their newest records yet"),
    ("differing", "not what the log says"),
    ("missing", "in the log, not in Redis"),
    ("unknown", "in Redis, not in the log"),
)


@contextmanager
def opened(config: Config, members_per_pass: int, wait_s: float) -> Iterator[Auditor]:
    """An audit of what the topics hold now; its progress is shown on a terminal.

    Raises
    ------
    UnavailableError : Kafka or Redis does not answer, also later on.
    """
    with store.reachable(config.redis), ExitStack() as stack:
        client = stack.enter_context(store.connect(config.redis))
        client.ping()
        reader = stack.enter_context(LogReader(config.kafka))
        bar = stack.enter_context(_ProgressBar())
        auditor = Auditor(config, client, Log(config, client, reader), members_per_pass, bar)
        auditor.wait(wait_s)
        yield auditor


def tell(report: Report) -> None:
    """Print a report, a line a kind and one for each of the first members that are not as they should be."""
    ends = sum(end for partitions in report.cut.values() for end in partitions.values())
    click.echo(f"{report.members} members compared at the cut of {ends} records, in {report.seconds:.1f} s")
    for name, meaning in _ROWS:
        count = getattr(report, name)
        if count or name in ("equal", "differing"):
            click.echo(f"  {count:>10,}  {name:<10} {meaning}")
    for finding in report.findings[:SHOWN]:
        click.echo(f"  {finding.member_id!r} {finding.verdict}: {finding.words}")
    more = report.members - report.equal - report.contained - min(SHOWN, len(report.findings))
    if more > 0:
        click.echo(f"  and {more:,} more")


def write_json(report: Report, path: str | None) -> None:
    """Write a report to a file.

    Raises
    ------
    InputError : the file cannot be written.
    """
    if path is None:
        return
    try:
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    except OSError as error:
        raise InputError(f"--json {path}: cannot be written ({error.strerror})") from None


def run(config_path: str | None, json_path: str | None, members_per_pass: int, wait_s: float) -> int:
    """The command `verify`; its exit code."""
    with opened(configuration.load(config_path), members_per_pass, wait_s) as auditor:
        report = auditor.run()
    tell(report)
    write_json(report, json_path)
    return 0 if report.is_sound else FAILED_EXIT_CODE


class _ProgressBar(Bar):
    """Records passed and time left, on standard error where that is a terminal."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=0, unit=" records", unit_scale=True, disable=None if sys.stderr.isatty() else True, leave=False)

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *of: object) -> None:
        self._bar.close()

    def expect(self, records: int) -> None:
        self._bar.total = (self._bar.total or 0) + records
        self._bar.refresh()

    def passed(self, records: int) -> None:
        self._bar.update(records)
