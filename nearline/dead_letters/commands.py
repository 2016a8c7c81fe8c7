"""`python -m nearline dead-letters`: what was put aside, why, and sending it once more."""

import base64
import datetime as dt
import heapq
import json
import re
import sys
import time
from collections import Counter
from typing import Any

import click

from shared import cli, config
from shared.errors import InputError

_PARTICULARS = re.compile(r"b?'(?:[^'\\]|\\.)*'|\d+(?:\.\d+)?")
"""What differs between two reasons of one kind."""


@click.group("dead-letters", cls=cli.Group)
def group() -> None:
    """Records that could not be read: list them, show one, send them once more."""


def _filters(command: Any) -> Any:
    for option in (
        click.option("--since", metavar="TIME", type=click.DateTime(), help="Put aside at this time (UTC) or later."),
        click.option("--reason", metavar="TEXT", help="With this text in their reason, in any case."),
        click.option("--topic", metavar="NAME", help="Of this topic."),
    ):
        command = option(command)
    return command


def _since_ms(since: dt.datetime | None) -> int:
    return 0 if since is None else int(since.replace(tzinfo=dt.UTC).timestamp() * 1000)


@group.command("list")
@cli.config_option
@_filters
@click.option("--newest", metavar="N", type=click.IntRange(min=0), default=20, show_default=True, help="Show so many one by one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(
    config_path: str | None, topic: str | None, reason: str | None, since: dt.datetime | None, newest: int, as_json: bool
) -> None:
    """Count the dead letters by topic and reason, and list the newest with their coordinates."""
    loaded = config.load(config_path)
    from nearline.auditing.log_reader import LogReader
    from nearline.dead_letters import log as dead_letter_log

    wanted = dead_letter_log.Filter(topic, reason, _since_ms(since))
    with LogReader(loaded.kafka) as reader:
        filed = dead_letter_log.read(reader, loaded.kafka, wanted)
    counts = Counter((short.topic, _PARTICULARS.sub("…", short.reason)) for short in filed)
    replayed = Counter((short.topic, _PARTICULARS.sub("…", short.reason)) for short in filed if short.replayed)
    last = heapq.nlargest(newest, filed, key=lambda short: (short.at_ms, short.coordinates))
    if as_json:
        by_reason = [
            {"topic": kind[0], "reason": kind[1], "letters": count, "replayed": replayed[kind]}
            for kind, count in counts.most_common()
        ]
        listed = [
            {"coordinates": at.coordinates, "epoch": at.epoch, "at_ms": at.at_ms, "reason": at.reason, "replayed": at.replayed}
            for at in last
        ]
        click.echo(json.dumps({"letters": len(filed), "by_reason": by_reason, "newest": listed}, ensure_ascii=False))
        return
    click.echo(f"{len(filed)} dead letters, {sum(replayed.values())} of them replayed")
    for kind, count in counts.most_common():
        click.echo(f"{count:8}  {kind[0]}  {_plain(kind[1])}" + (f"  ({replayed[kind]} replayed)" if replayed[kind] else ""))
    if last:
        click.echo("newest:")
    for short in last:
        told = f"  (replayed: {short.replayed})" if short.replayed else ""
        click.echo(f"{_time(short.at_ms)}  {short.coordinates}  {_plain(short.reason)}{told}")


@group.command()
@cli.config_option
@click.argument("coordinates")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; what is no text in base64.")
def show(config_path: str | None, coordinates: str, as_json: bool) -> None:
    """Show one dead letter whole. COORDINATES: topic/partition@offset, as `list` shows them."""
    loaded = config.load(config_path)
    from nearline.auditing.log_reader import LogReader
    from nearline.dead_letters import log as dead_letter_log
    from nearline.dead_letters import replay as dead_letter_replay

    at = dead_letter_log.Coordinates.parse(coordinates)
    with LogReader(loaded.kafka) as reader:
        filed = dead_letter_log.read(reader, loaded.kafka, dead_letter_log.Filter(coordinates={at}))
        found = list(dead_letter_log.originals(reader, loaded.kafka, filed))
    if not found:
        raise InputError(f"there is no dead letter {coordinates}")
    for short, original in found:  # more than one when the topic was created anew since the first
        refusal = dead_letter_replay.refusal(loaded.kafka, short.topic, original, _now_ms())
        told = {
            "coordinates": short.coordinates,
            "epoch": short.epoch,
            "put_aside": _time(short.at_ms),
            "reason": short.reason,
            "replayed": short.replayed,
            "today": refusal or "can be read",
            "taken_from": original.source,
            "is_whole": original.is_whole,
            "key": _text(original.key),
            "value": _text(original.value),
        }
        if as_json:
            click.echo(json.dumps(told, ensure_ascii=False))
            continue
        for name, said in told.items():
            click.echo(f"{name:12} {_plain(said if isinstance(said, str) else json.dumps(said))}")


@group.command()
@cli.config_option
@click.argument("coordinates", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that the filters let through.")
@_filters
@click.option("--again", is_flag=True, help="Also those that were replayed before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a letter.")
def replay(
    config_path: str | None,
    coordinates: tuple[str, ...],
    is_all: bool,
    topic: str | None,
    reason: str | None,
    since: dt.datetime | None,
    again: bool,
    as_json: bool,
) -> None:
    """Send the records of dead letters to their topics once more, those that can be read by now.

    The record itself is sent, with its key, not what the dead letter kept of it. A letter that was replayed is marked, and is
    not sent again.

    Exit codes: 0 all were sent or had been, 1 some cannot be read still and stay, 2 Kafka could not be reached.
    """
    loaded = config.load(config_path)
    from nearline.auditing.log_reader import LogReader
    from nearline.dead_letters import log as dead_letter_log
    from nearline.dead_letters import replay as dead_letter_replay

    if is_all == bool(coordinates):
        raise InputError("name the letters to replay by their coordinates, or give --all")
    places = {dead_letter_log.Coordinates.parse(text) for text in coordinates}
    counts: Counter[str] = Counter()
    with LogReader(loaded.kafka) as reader:
        wanted = dead_letter_log.Filter(topic, reason, _since_ms(since), places)
        filed = dead_letter_log.read(reader, loaded.kafka, wanted)
        if missing := places - {dead_letter_log.Coordinates(short.topic, short.partition, short.offset) for short in filed}:
            raise InputError(f"there is no dead letter {'{}/{}@{}'.format(*min(missing))}; nothing was sent")
        found = dead_letter_log.originals(reader, loaded.kafka, filed)
        for outcome in dead_letter_replay.replay(loaded.kafka, found, _now_ms, again=again):
            counts[outcome.status] += 1
            if as_json:
                told = {"coordinates": outcome.coordinates, "status": outcome.status, "detail": outcome.detail}
                click.echo(json.dumps(told, ensure_ascii=False))
            elif outcome.status != "already replayed":
                click.echo(f"{outcome.coordinates}  {outcome.status}: {_plain(outcome.detail)}")
    if not as_json:
        click.echo(f"{counts['replayed']} replayed, {counts['already replayed']} had been before, {counts['stays']} stay")
    sys.exit(1 if counts["stays"] else 0)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _time(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(blob: bytes | None) -> Any:
    """As text; as base64 where it is none."""
    if blob is None:
        return None
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(blob).decode()}


def _plain(text: str) -> str:
    """Text from outside, without what a terminal would take for commands."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
