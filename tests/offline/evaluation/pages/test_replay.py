from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from infra.bench.pages import write_files
from infra.demo.world import World
from offline.__main__ import main
from offline.evaluation.pages import fitted
from offline.evaluation.pages.browse_fit import BrowseFit
from offline.evaluation.pages.making import PageMaker
from offline.evaluation.pages.past import History
from offline.evaluation.pages.replay import Judge, Plan, draw_visits, evaluate_pages
from offline.evaluation.pages.tally import COVERAGES, FIGURES
from shared.config import Config, TrainingConfig
from shared.pages.attention import BrowseModel
from shared.pages.drafts import Draft
from shared.pages.policies import POLICIES, PageView, Placed
from shared.pages.request import Request

SMALL = Config(training=TrainingConfig(factors=8, iterations=3, candidates=60))
BROWSE = BrowseModel(down_power=0.4, right_power=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world")
    write_files(World.generate(members=150, titles=120, plays=4000, seed=5), path)
    return path


@pytest.fixture(scope="module")
def history(folder: Path) -> History:
    return History.read(str(folder))


class Nothing:
    """Places no row at all."""

    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        return []


def test_policies_are_judged_side_by_side(history: History) -> None:
    policies = {"template": POLICIES["template"], "again": POLICIES["template"], "nothing": Nothing()}
    report = evaluate_pages(history, SMALL, Plan(members=40), BrowseFit(BROWSE, 0, 0.0), policies, say=lambda line: None)
    assert 35 < report.members <= 40  # less those who only glanced at titles
    template, nothing = report.figures["template"], report.figures["nothing"]
    assert set(template) == {*FIGURES, *COVERAGES}
    assert 0.1 < template["recall"].mean < template["anywhere"].mean < 1
    assert template["recall"].low < template["recall"].mean < template["recall"].high
    assert report.figures["again"] == template
    assert report.differences["again"]["ndcg"].mean == report.differences["again"]["ndcg"].high == 0.0
    assert nothing["recall"].mean == nothing["err"].mean == nothing["title_coverage"].mean == 0.0
    assert report.differences["nothing"]["recall"].mean == pytest.approx(-template["recall"].mean)
    assert "novelty" not in nothing


def test_pages_follow_what_was_done_since_the_cut(history: History) -> None:
    past, later = history.cut(0.2)
    made = fitted.fit(past, SMALL.training, BROWSE)
    maker = PageMaker(made.snapshot, SMALL)
    [visited, *_] = [one for one in draw_visits(past, later, Plan(members=40)) if len(one.visits) > 2]
    before, after = visited.visits[0].state, visited.visits[-1].state
    candidates = made.candidates[visited.member_id]
    assert maker.facts(before, candidates).fresh is None
    assert maker.facts(after, candidates).fresh is not None
    assert before.updated_at_ms < made.snapshot.manifest.created_at_ms <= after.updated_at_ms
    context = maker.context(maker.facts(after, candidates), Request(visited.member_id, "tv", "US", after.updated_at_ms))
    begun = {entry.title_id for entry in after.played}
    shown = {maker.serving.ids[title] for title in context.ranking.order}
    assert not shown & {mark.title_id for mark in after.finished}
    assert begun & {seed.title_id for seed in maker.facts(after, candidates).seeds}


def test_the_fitted_snapshot_is_as_a_night_leaves_it(history: History) -> None:
    past, _ = history.cut(0.2)
    made = fitted.fit(past, SMALL.training, BROWSE)
    arrays, catalogue = made.snapshot.arrays, made.snapshot.catalogue
    assert BrowseModel.from_arrays(arrays, "v").right_power == pytest.approx(BROWSE.right_power)
    pairs = set(zip(past.plays["member_id"].to_pylist(), past.plays["title_id"].to_pylist(), strict=True))
    counts = np.zeros(len(catalogue), dtype=int)
    for _, title_id in pairs:
        counts[catalogue.index[title_id]] += 1
    assert made.members_of.tolist() == counts.tolist()
    assert (np.diff(counts[arrays["popular"]]) <= 0).all()
    assert sorted(arrays["popular"]) == sorted(arrays["trending"]) == sorted(arrays["popular/US"]) == list(range(120))
    for member_id, candidates in made.candidates.items():
        seen = {catalogue.index[title_id] for member, title_id in pairs if member == member_id}
        assert not seen & set(candidates.titles.tolist())
        assert (np.diff(candidates.scores) <= 0).all()


def test_each_policy_goes_on_from_its_own_last_page(history: History) -> None:
    seen: list[tuple[str, ...]] = []

    class Recording:
        def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
            seen.append(view.previous)
            return POLICIES["template"].place(drafts, view)

    past, later = history.cut(0.2)
    judge = Judge(fitted.fit(past, SMALL.training, BROWSE), SMALL, {"nothing": Nothing(), "recording": Recording()})
    [visited, *_] = [one for one in draw_visits(past, later, Plan(members=40)) if len(one.visits) > 2]
    judge.replay(visited)
    assert seen[0] == ()
    assert all(seen[1:])


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["evaluate-pages", *map(str, arguments)])


def test_the_command_writes_what_it_prints(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "marquee.toml"
    config.write_text("[training]\nfactors = 8\niterations = 3\ncandidates = 60\n")
    pages, report = folder / "impressions.jsonl", tmp_path / "report.json"
    result = run("--data", folder, "--impressions", pages, "--members", 30, "--config", config, "--json", report)
    assert result.exit_code == 0, result.output
    found = msgspec.json.decode(report.read_bytes())
    assert list(found["figures"]) == ["template", "alone", "stagewise", "search"]
    assert found["browse_plays"] > 500
    assert found["browse"]["right_power"] > 0.3  # the world's is 0.55
    assert f"fitted to {found['browse_plays']:,} plays" in result.output
    assert f"{found['figures']['search']['ndcg']['mean']:.4f}" in result.output


def test_bad_input_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    pages = tmp_path / "pages.jsonl"
    for text, expected in (
        ("", "there is no page in it"),
        ('{"schema": 1}\n', r"pages.jsonl line 1: Object missing required field"),
        ((folder / "impressions.jsonl").read_text().splitlines()[0] + "\n", "at least 200 are due to fit a browse model"),
    ):
        pages.write_text(text)
        assert_refused(run("--data", folder, "--impressions", pages), expected)
    assert_refused(run("--data", folder, "--impressions", tmp_path / "none.jsonl"), "cannot be read")
    assert_refused(run("--data", tmp_path), "no known layout")
    assert_refused(run("--data", folder, "--test-share", "1.5"), "--test-share is 1.5; expected between 0 and 1")


def assert_refused(result: Result, expected: str) -> None:
    assert result.exit_code == 2
    assert expected in result.output
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
