"""The nearline benchmark measures what it says: valid events in the order of a service, spans without start-up, real runs."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from infra.bench import report
from infra.bench.nearline import running, throughput
from infra.bench.nearline.observing import Sample, Series
from infra.bench.nearline.profiling import tell
from infra.bench.nearline.rivals.measuring import Measured
from infra.bench.nearline.sending import partition_of
from infra.bench.nearline.stage import Stage
from infra.bench.nearline.workload import REPORT_S, Encoder, Record, Workload, arrivals
from infra.bench.report import Repeated, Row
from infra.local.stack import LocalStack
from shared import events
from shared.errors import InputError
from shared.events import Play

REALISTIC = Workload("realistic", events=20_000, members=400)


def encoded(workload: Workload) -> list[Record]:
    log = arrivals(workload)
    return list(Encoder(workload, log).records(np.arange(len(log.viewing))))


def decoded(workload: Workload) -> list[Play]:
    return [events.decode_play(value, key) for key, value, _ in encoded(workload)]


def test_a_realistic_log_is_of_valid_viewings_with_late_and_repeated_reports() -> None:
    records, plays = encoded(REALISTIC), decoded(REALISTIC)
    assert len(plays) == REALISTIC.events
    assert [at_ms for _, _, at_ms in records] == sorted(at_ms for _, _, at_ms in records)
    assert 350 < sum(len(value) for _, value, _ in records) / len(records) < 450
    first = {play.event_id: play for play in reversed(plays)}
    assert 0.005 < 1 - len(first) / len(plays) < 0.02  # repeated ones
    assert all(first[play.event_id] == play for play in plays)
    late = sum(at_ms - play.at_ms > 1000 for (_, _, at_ms), play in zip(records, plays, strict=True))
    assert 0.01 < late / len(plays) < 0.05
    viewings: dict[str, list[Play]] = {}
    for play in first.values():
        viewings.setdefault(play.session_id, []).append(play)
    for reports in viewings.values():
        reports.sort(key=lambda play: play.at_ms)
        assert {later.at_ms - earlier.at_ms for earlier, later in pairwise(reports)} <= {
            int(REPORT_S * 1000) * step
            for step in (1, 2, 3)  # some are cut off at the end of the log
        }
        assert [play.kind for play in reports[1:-1]] == ["progress"] * len(reports[1:-1])
    busiest = Counter(play.member_id for play in plays).most_common(REALISTIC.members // 10)
    assert sum(count for _, count in busiest) > 0.3 * len(plays)


def test_the_senders_agree_on_a_log_without_talking() -> None:
    assert encoded(REALISTIC) == encoded(REALISTIC)
    assert encoded(REALISTIC) != encoded(Workload("realistic", events=20_000, members=400, seed=8))


def test_a_spread_log_has_no_member_twice_before_all_have_been() -> None:
    workload = Workload("spread", events=2500, members=1000)
    members = [play.member_id for play in decoded(workload)]
    assert len(set(members[:1000])) == 1000
    assert members[1000:2000] == members[:1000]
    assert {partition_of(member, 8) for member in members} == set(range(8))


def test_spans_begin_at_the_first_watermark_and_slices_have_one_length() -> None:
    samples = [
        Sample(at_s=100.0 + number, done=10 * number, cpu_s=50.0 + number / 2, rss_bytes=number) for number in range(1, 42)
    ]
    series = Series(tuple(samples))
    whole = series.span()
    assert (whole.events, whole.wall_s, whole.cpu_s, whole.per_cpu_s) == (400, 40.0, 20.0, 20.0)
    assert [piece.wall_s for piece in series.slices(10.0)] == [10.0] * 4
    assert series.peak_rss_bytes == 41
    quick = [Sample(sample.at_s, sample.done + (100 if sample.at_s > 120 else 0), sample.cpu_s, 0) for sample in samples]
    assert Series(tuple(quick)).fastest(0.5).per_s > Series(tuple(samples)).fastest(0.5).per_s == 10.0


def test_a_run_that_is_over_at_the_first_look_is_refused() -> None:
    with pytest.raises(InputError, match="20,000 events are too few to measure"):
        Series((Sample(at_s=1.0, done=20_000, cpu_s=3.0, rss_bytes=1),)).span()


def test_a_target_that_is_missed_is_told() -> None:
    row = report.at_least("worker", Repeated((40_000.0, 49_000.0, 60_000.0)), 50_000, unit="events/CPU-s")
    assert row.met is False
    assert report.table([row, Row("other", "1")]).splitlines()[0].endswith("MISSED")
    assert report.ratios([8.0, 9.0], [2.0, 3.0]).values == (4.0, 3.0)


def test_a_profile_tells_own_time_and_time_with_callees() -> None:
    writer = "thread (2): writer;write (a.py:1)"
    raw = f"{writer};fold (b.py:2) 20\n{writer};fold (b.py:3) 10\n{writer} 10\nthread (1): MainThread;run (c.py:3) 60\n"
    lines = tell(raw)
    shown = lines[lines.index("writer: 40% of all samples") :].splitlines()
    assert shown[2:4] == ["  30.0%         30.0%  fold (b.py)", "  10.0%         40.0%  write (a.py)"]
    assert shown[5] == "  20.0%         20.0%  fold (b.py:2)"
    assert lines.index("MainThread: 60%") < lines.index("writer: 40%")


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(InputError, match="no section is called 'wroker'"):
        running.Plan(sections=("wroker",)).check()


def test_a_rival_tells_rates() -> None:
    measured = Measured(events=600, wall_s=3.0, cpu_s=2.0, rss_bytes=1)
    assert (measured.per_s, measured.per_cpu_s) == (200.0, 300.0)


@pytest.mark.slow
def test_the_worker_and_its_rivals_are_measured_over_the_same_topic(stack: LocalStack) -> None:
    wanted = ["worker", "bare", "agent", "bytewax"]
    plan = running.Plan(sections=("size", *wanted), events=60_000, members=400, rounds=1, agent_s=3.0)

    rows = {row.what.strip(): row for row in running.sections(plan, Stage(stack, lambda line: None))}

    for name in ("worker, realistic plays", "plain Faust agent, same work", "bare loop, same script, no reducer"):
        assert rows[name].values["median"] > 0
    assert rows["worker ÷ agent"].values["median"] > 2
    assert rows["state at the bound of every part"].met
    if throughput.has_bytewax():
        assert rows["Bytewax, decode and keyed fold, no Redis"].values["median"] > 0
