"""Pages after members' tastes shift in a session: blended, precomputed alone and live alone, side by side.

The built-in world's history makes a snapshot. Then members come with a taste that leans, for one session, to that of somebody of
another group. What they play first is in their state and what they play next is to be on the page. All plays come from searches
(`infra.demo.viewing.search`), so no page had a say in what they chose.

    blended       the state with the session, candidates precomputed before it, and candidates retrieved from the state
    precomputed   what was known before the session, and candidates precomputed then: a page made overnight
    live          the state with the session and candidates retrieved from it, none precomputed

The snapshot, rows and page policy are the same for all three, and so is the browse model that cells are weighted by: the world's
own. No part of the library was tuned on these sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from infra.bench.online.stage import Stage
from infra.bench.report import Row
from infra.demo import pages, viewing
from infra.demo.catalogue import COUNTRIES, DAY_MS, FloatArray, IntArray, Population, unit
from infra.demo.world import World
from offline.evaluation.pages import fitted
from offline.evaluation.pages.making import PageMaker
from offline.evaluation.pages.past import History
from offline.evaluation.pages.relevance import relevance
from offline.evaluation.pages.replay import by_member
from offline.evaluation.pages.report import PageReport
from offline.evaluation.pages.tally import Tally
from offline.evaluation.pages.variety import genre_vectors, self_information, variety
from shared import state as states
from shared.config import Config
from shared.events import SCHEMA_VERSION, Play
from shared.histories import GLANCE_SHARE
from shared.pages.attention import BrowseModel
from shared.pages.facts import Facts
from shared.pages.policies import named_policy
from shared.pages.request import Request

KNOWN, NEXT = 3, viewing.MOST
"""Plays of the session that are in the state when the page is asked for, and those that follow."""
TURNED = (0.5, 1.0)
"""How far a taste turns to the other one, drawn evenly from this range: 0 stays, 1 is all the other's."""
BROWSE = BrowseModel(first=0.95, down_rate=0.0, down_power=0.45, right_rate=0.0, right_power=0.55, scroll=1.0, swipe=1.0)
"""`infra.demo.pages.examination`, on pages of any size."""
KINDS = ("blended", "precomputed", "live")
FIGURES = ("recall", "ndcg", "err", "screen")
DEVICE = "tv"


@dataclass(frozen=True)
class Size:
    """How much is simulated; another `seed` makes other members, titles and sessions."""

    members: int = 2_000
    titles: int = 1_000
    plays: int = 80_000
    sessions: int = 2_000
    seed: int = 7


class Sessions(NamedTuple):
    """Sessions with another taste, one a member: the plays known when the page is asked for, and the titles played next."""

    members: IntArray  # (sessions,)
    known: list[list[Play]]
    wanted: list[list[int]]  # of the catalogue's indices


class Stand(NamedTuple):
    """All that is needed to make and judge pages of sessions."""

    world: World
    made: fitted.Fitted
    maker: PageMaker
    sessions: Sessions
    past: Mapping[str, list[Play]]  # by member id, what was played before the session


def measure(stage: Stage) -> list[Row]:
    """The rows of the section `pages`; nothing here needs Redis."""
    report = judge(prepare(Size()))
    for line in report.to_text().splitlines():
        stage.say(f"  {line}")
    return [_row(report, figure) for figure in FIGURES]


def prepare(size: Size, config: Config | None = None) -> Stand:
    """Simulate, and fit on what came before the sessions.

    Raises
    ------
    InputError : a size that the simulation cannot do.
    """
    config = config or Config()
    world = World.generate(members=size.members, titles=size.titles, plays=size.plays, seed=size.seed)
    history = History.of(world.titles_table(), world.plays_table())
    made = fitted.fit(history, config.training, BROWSE)
    sessions = simulate(world, size)
    member_ids = [f"m{member}" for member in sessions.members]
    return Stand(world, made, PageMaker(made.snapshot, config), sessions, by_member(history.of_members(member_ids).events()))


def judge(stand: Stand) -> PageReport:
    """The three kinds of pages of every session."""
    world, made, maker, sessions, past = stand
    serving, device = maker.serving, maker.format(DEVICE)
    policy = {"configured": named_policy(maker.config.page.policy)}
    vectors = genre_vectors(serving.genre_titles)  # (titles, genres)
    information = self_information(made.members_of, made.members)  # (titles,)
    tallies = {name: Tally(serving.count) for name in KINDS}
    rows: set[str] = set()
    visits = 0
    for member, known, wanted in zip(sessions.members, sessions.known, sessions.wanted, strict=True):
        if not wanted:
            continue
        visits += 1
        member_id, country = f"m{member}", COUNTRIES[world.population.country[member]]
        right = [serving.index[f"t{title}"] for title in wanted]
        request = Request(member_id, DEVICE, country, known[-1].at_ms)
        for name, facts in _facts(maker, made, past.get(member_id, []), known, member_id).items():
            context = maker.context(facts, request)
            drafts = maker.drafts(context)
            rows.update(draft.key for draft in drafts)
            [page] = maker.pages(context, drafts, policy, {}).values()
            found = relevance(page, right, (device.visible_rows, device.visible_cells))
            tallies[name].add(page, found, variety(page, None, vectors, information))
            tallies[name].end_member()
    protocol = (
        f"sessions of the built-in world with a taste turned by {TURNED[0]:.0%} to {TURNED[1]:.0%} to another group's; "
        f"{KNOWN} plays known, at most {NEXT} to find"
    )
    return PageReport.of(tallies, rows, protocol=protocol, visits=visits, titles=serving.count, browse=BROWSE)


def simulate(world: World, size: Size) -> Sessions:
    """Sessions just after the world's end, of members drawn at random."""
    rng = np.random.default_rng([size.seed, 1])
    population, catalogue = world.population, world.catalogue
    members = np.sort(rng.choice(len(population), min(size.sessions, len(population)), replace=False)).astype(np.int64)
    turned = replace(population, taste_first=(taste := _turned(world, members, rng)), taste_last=taste)
    seen = np.zeros((len(population), len(catalogue)), dtype=np.bool_)
    seen[world.plays.member, world.plays.title] = True
    pools = pages.make_pools(catalogue, population, world.end_ms, rng)
    titles = np.empty((len(members), KNOWN + NEXT), dtype=np.int32)
    for number in range(KNOWN + NEXT):
        titles[:, number] = viewing.search(catalogue, turned, pools, members, taste[members], seen, rng)
        seen[members, titles[:, number]] = True
    start_ms = np.full(len(members), world.end_ms + DAY_MS // 2)
    known, last_ms = _watched(world, turned, members, titles[:, :KNOWN], start_ms, rng)
    after, _ = _watched(world, turned, members, titles[:, KNOWN:], last_ms, rng)
    wanted = [[int(play.title_id[1:]) for play in plays if play.position_s >= GLANCE_SHARE * play.runtime_s] for plays in after]
    return Sessions(members, known, wanted)


def _turned(world: World, members: IntArray, rng: np.random.Generator) -> FloatArray:
    """Everybody's taste, (members, LATENT), those of some turned to that of a member of another group."""
    population = world.population
    taste = population.taste_last.copy()
    for member, share in zip(members, rng.uniform(*TURNED, len(members)), strict=True):
        other = rng.choice(np.flatnonzero(population.group != population.group[member]))
        taste[member] = (1 - share) * population.taste_last[member] + share * population.taste_last[other]
    return unit(taste)


def _watched(
    world: World,
    population: Population,
    members: IntArray,
    titles: npt.NDArray[np.int32],
    start_ms: IntArray,
    rng: np.random.Generator,
) -> tuple[list[list[Play]], IntArray]:
    """How the plays of some sessions went, (sessions, plays), and when each session's last one stopped."""
    padded = np.full((len(members), viewing.MOST), -1, dtype=np.int32)
    padded[:, : titles.shape[1]] = titles
    nothing = np.zeros((len(members), 0), dtype=np.int16)
    source = np.zeros(padded.shape, np.int8)
    choices = viewing.Choices(nothing, nothing.astype(np.uint16), padded, np.full(padded.shape, -1, np.int8), source)
    sessions = viewing.Sessions(members, start_ms, np.zeros(len(members), dtype=np.int64))
    found = viewing.watch(world.catalogue, population, sessions, choices, 1, rng)
    plays = [
        [
            Play(
                schema=SCHEMA_VERSION,
                event_id=f"after-{start_ms[row]}-{members[row]}-{number}",
                member_id=f"m{members[row]}",
                title_id=f"t{titles[row, number]}",
                kind="stop",
                session_id=f"after-{members[row]}",
                at_ms=int(found.stop_ms[row, number]),
                position_s=float(found.position_s[row, number]),
                runtime_s=float(world.catalogue.runtime_s[titles[row, number]]),
                watched_s=float(found.watched_s[row, number]),
                device=DEVICE,
                country=COUNTRIES[population.country[members[row]]],
            )
            for number in range(titles.shape[1])
        ]
        for row in range(len(members))
    ]
    return plays, found.stop_ms[:, titles.shape[1] - 1]


def _facts(maker: PageMaker, made: fitted.Fitted, past: list[Play], known: list[Play], member_id: str) -> Mapping[str, Facts]:
    """What each kind of page knows."""
    overnight = states.fold(states.EMPTY, past)
    state = states.fold(overnight, known)
    blended = maker.facts(state, made.candidates.get(member_id))
    return {
        "blended": blended,
        "precomputed": maker.facts(overnight, made.candidates.get(member_id)),
        "live": replace(blended, candidates=None),
    }


def _row(report: PageReport, figure: str) -> Row:
    """One figure of all three; met where the blended pages are ahead of both with their whole intervals."""
    told = ", ".join(f"{name} {found[figure].mean:.4f}" for name, found in report.figures.items())
    others = {name: found[figure] for name, found in report.differences.items() if name != report.baseline}
    behind = ", ".join(f"{name} {-found.high:+.4f} to {-found.low:+.4f}" for name, found in others.items())
    return Row(
        f"pages after a shift of taste, {figure}",
        f"{told}; blended ahead of {behind}",
        "blended ahead of both",
        all(found.high < 0 for found in others.values()),
        {name: found[figure].mean for name, found in report.figures.items()},
    )
