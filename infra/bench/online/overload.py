"""Ten times the rate that a core sustains: who is answered in time, out of which tier, and whether anybody is not answered.

The offer is open: a request is due at its moment whether or not those before it were answered, and its time counts from that
moment. Sustained is what one thread after the other gets answered; ten times that cannot all be answered in full.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from infra.bench.online.server import client_core
from infra.bench.online.stage import Stage
from infra.bench.online.timing import in_turns, on_core
from infra.bench.online.whole_page import page_call
from infra.bench.report import Row
from online import Page, Recommender

FACTOR = 10.0
SECONDS = 5.0
THREADS = 64
"""Requests that a server of this process would have in hand at once."""
IN_TIME_SHARE = 0.999
"""Of the requests offered; the system may stop a process that uses all of its core for longer than a deadline."""


@dataclass
class Answers:
    """What became of the requests of an offer."""

    offered: int
    waited_s: list[float] = field(default_factory=list)  # from the moment it was due to the answer
    called_s: list[float] = field(default_factory=list)  # from the call to the answer
    tiers: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, page: Page, due_s: float, began_s: float) -> None:
        """Take one answer."""
        now_s = time.perf_counter()
        self.waited_s.append(now_s - due_s)
        self.called_s.append(now_s - began_s)
        self.tiers[page.tier] += 1
        self.codes.update(fallback.code for fallback in page.fallbacks)
        self.empty += not page.rows


def measure(stage: Stage) -> list[Row]:
    """From threads, then from an event loop."""
    assert stage.version
    with on_core(client_core()), Recommender(stage.config()) as recommender:
        quiet = in_turns({"page": page_call(recommender, stage)}, min(stage.calls, 1000))["page"]
        rate = FACTOR * quiet.per_s
        stage.say(f"  sustained {quiet.per_s:,.0f} pages a second, offering {rate:,.0f}")
        threaded = from_threads(recommender, stage, rate)
        looped = asyncio.run(from_loop(recommender, stage, rate))
    deadline_s = stage.config().online.deadline_ms / 1000
    return [
        Row("sustained, one thread", f"{quiet.per_s:,.0f} pages a second", values={"per_s": quiet.per_s}),
        _row(f"{THREADS} threads, offered {rate:,.0f} a second", threaded, deadline_s),
        _row(f"one event loop, offered {rate:,.0f} a second", looped, deadline_s),
    ]


def from_threads(recommender: Recommender, stage: Stage, rate: float) -> Answers:
    """Offer to threads, which take requests in the order in which they are due."""
    answers = Answers(round(rate * SECONDS))
    numbers = iter(range(answers.offered))  # its next step is one to threads
    began_s = time.perf_counter()

    def serve() -> None:
        while True:
            number = next(numbers, None)
            if number is None:
                return
            due_s = began_s + number / rate
            pause_s = due_s - time.perf_counter()
            if pause_s > 0:
                time.sleep(pause_s)
            asking, called_s = stage.who(number), time.perf_counter()
            try:
                page = recommender.page(asking.member_id, device=asking.device, country=asking.country)
            except Exception as error:  # none may: that is what is measured
                answers.failures.append(f"{type(error).__name__}: {error}")
                continue
            answers.add(page, due_s, called_s)

    threads = [threading.Thread(target=serve, name=f"asking-{number}") for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


async def from_loop(recommender: Recommender, stage: Stage, rate: float) -> Answers:
    """Offer to an event loop, which begins each request as soon as it gets to it."""
    answers = Answers(round(rate * SECONDS))
    tasks: set[asyncio.Task[None]] = set()
    began_s = time.perf_counter()

    async def serve(number: int, due_s: float) -> None:
        asking, called_s = stage.who(number), time.perf_counter()
        try:
            page = await recommender.page_async(asking.member_id, device=asking.device, country=asking.country)
        except Exception as error:
            answers.failures.append(f"{type(error).__name__}: {error}")
            return
        answers.add(page, due_s, called_s)

    for number in range(answers.offered):
        due_s = began_s + number / rate
        pause_s = due_s - time.perf_counter()
        if pause_s > 0 or number % 16 == 0:  # a server takes several connections between two looks at the others
            await asyncio.sleep(max(0.0, pause_s))
        task = asyncio.create_task(serve(number, due_s))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return answers


def _row(what: str, answers: Answers, deadline_s: float) -> Row:
    waited, called = np.array(answers.waited_s or [np.inf]), np.array(answers.called_s or [np.inf])
    in_time = float((waited <= deadline_s).sum()) / answers.offered
    after_call = float((called <= deadline_s).sum()) / answers.offered
    tiers = ", ".join(f"{tier} {count / answers.offered:.1%}" for tier, count in answers.tiers.most_common())
    codes = ", ".join(f"{code} {count / answers.offered:.1%}" for code, count in answers.codes.most_common(4)) or "none"
    failed = f"{len(answers.failures)} failed" + (f" ({answers.failures[0]})" if answers.failures else "")
    figure = (
        f"{in_time:.2%} within {1000 * deadline_s:g} ms of being due ({after_call:.2%} of the call), p99 "
        f"{1000 * np.percentile(waited, 99):,.0f} ms; {tiers}; fallbacks {codes}; {answers.empty} empty, {failed}"
    )
    values = {
        "in_time": in_time,
        "in_time_after_call": after_call,
        "tiers": dict(answers.tiers),
        "codes": dict(answers.codes),
        "empty": answers.empty,
        "failed": len(answers.failures),
    }
    is_met = in_time >= IN_TIME_SHARE and not answers.failures and not answers.empty
    return Row(f"overload: {what}", figure, f"≥ {IN_TIME_SHARE:.1%} in time, none fails", is_met, values)
