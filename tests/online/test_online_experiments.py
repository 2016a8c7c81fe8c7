"""Experiments: who is in which cell, how often, and what moves when the file changes."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from online.experiments import NO_CHANGES, NO_EXPERIMENTS, Context, Experiments, Known, allocate, load_experiments
from online.experiments.layout import BUCKETS, FREE, Space, as_ranges, claim_share, equal_parts, wanted_order
from shared.config import ExplorationSettings

NOW_MS = tomllib.loads("at = 2026-11-21T12:00:00Z")["at"].timestamp() * 1000
MEMBERS = [f"m{number}" for number in range(8_000)]
US_TV = Context(int(NOW_MS), "tv", "US", is_known=True)

TWO_LAYERS = """
[layers.page]
salt = "page salt"
[layers.rank]
salt = "rank salt"
"""
HALVES = """
[tests.half]
layer = "page"
share = 0.5
[tests.half.cells.a]
share = 0.75
[tests.half.cells.b]
share = 0.25
changes.policy = "alone"
"""
THIRDS = """
[tests.thirds]
layer = "rank"
share = 1.0
[tests.thirds.cells.x]
[tests.thirds.cells.y]
changes.settings = { rows = 8 }
[tests.thirds.cells.z]
changes.arm = "other"
"""


def written(folder: Path, *parts: str) -> Path:
    path = folder / "experiments.toml"
    path.write_text("".join(parts), encoding="utf-8")
    return path


def loaded(folder: Path, *parts: str) -> Experiments:
    return load_experiments(written(folder, *parts))


def cells_of(found: Experiments, test: str, context: Context = US_TV) -> dict[str, str]:
    """The cell of every member that is in a test."""
    allocated = ((member, allocate(found, member, context).cells) for member in MEMBERS)
    return {member: cells[test] for member, cells in allocated if test in cells}


def is_share(count: int, of: int, share: float) -> bool:
    """Whether a count is within 4 standard deviations of a share."""
    return abs(count - of * share) < 4 * np.sqrt(of * share * (1 - share))


# --- the hash is fixed forever ---

# Not to be changed with the code: members would change their cells with them.
GOLDEN_BUCKETS = [2754, 6105, 7343, 5393, 3983]
GOLDEN_ORDER = [4351, 5674, 6938, 1271, 2540, 2090]
GOLDEN_CELLS: dict[str, dict[str, str]] = {
    "m0": {"half": "b", "thirds": "y"},
    "m1": {"thirds": "x"},
    "m2": {"thirds": "z"},
    "m3": {"thirds": "y"},
    "m4": {"half": "a", "thirds": "y"},
    "m5": {"half": "a", "thirds": "x"},
    "m6": {"half": "a", "thirds": "x"},
    "m7": {"thirds": "x"},
}


def test_the_hash_is_fixed_forever() -> None:
    space = Space("page salt")
    assert [space.bucket(member.encode()) for member in ("m0", "m1", "m42", "Ünï", "x" * 256)] == GOLDEN_BUCKETS
    assert wanted_order("page salt/half")[:6] == GOLDEN_ORDER


def test_the_cells_of_members_are_fixed_forever(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[holdout]\nsalt = "all"\nshare = 0.1\n', TWO_LAYERS, HALVES, THIRDS)
    assert {member: allocate(found, member, US_TV).cells for member in MEMBERS[:8]} == GOLDEN_CELLS


# --- shares ---


def test_cells_get_their_shares(tmp_path: Path) -> None:
    found = loaded(tmp_path, TWO_LAYERS, HALVES, THIRDS)
    half, thirds = cells_of(found, "half"), cells_of(found, "thirds")
    assert is_share(len(half), len(MEMBERS), 0.5) and len(thirds) == len(MEMBERS)
    assert is_share(list(half.values()).count("b"), len(half), 0.25)
    for cell in "xyz":
        assert is_share(list(thirds.values()).count(cell), len(MEMBERS), 1 / 3)


def test_layers_are_independent_of_each_other(tmp_path: Path) -> None:
    found = loaded(tmp_path, TWO_LAYERS, HALVES, THIRDS)
    table = np.zeros((3, 3))
    for member in MEMBERS:
        cells = allocate(found, member, US_TV).cells
        table["-ab".index(cells.get("half", "-")), "xyz".index(cells["thirds"])] += 1
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_test_in_the_place_of_an_ended_one_starts_with_other_groups(tmp_path: Path) -> None:
    before = cells_of(loaded(tmp_path, TWO_LAYERS, HALVES.replace("share = 0.5", "ranges = [[0.0, 0.5]]")), "half")
    renamed = HALVES.replace("half", "next").replace("share = 0.5", "ranges = [[0.0, 0.5]]")
    after = cells_of(loaded(tmp_path, TWO_LAYERS, renamed), "next")
    assert before.keys() == after.keys()
    table = [[sum(before[member] == one and after[member] == other for member in before) for other in "ab"] for one in "ab"]
    assert stats.chi2_contingency(np.array(table)).pvalue > 1e-4


def test_tests_of_a_layer_exclude_each_other_and_those_of_others_do_not(tmp_path: Path) -> None:
    rival = HALVES.replace("half", "rival").replace("0.5", "0.4")
    found = loaded(tmp_path, TWO_LAYERS.replace('"page salt"', '"page salt"\nholdout = 0.1'), HALVES, rival, THIRDS)
    half, other, thirds = cells_of(found, "half"), cells_of(found, "rival"), cells_of(found, "thirds")
    held = cells_of(found, "page/holdout")
    assert not half.keys() & other.keys() and not held.keys() & (half.keys() | other.keys())
    assert len(half) + len(other) + len(held) == len(MEMBERS)
    assert thirds.keys() >= half.keys() and is_share(len(held), len(MEMBERS), 0.1)


def test_the_holdout_is_in_no_test(tmp_path: Path) -> None:
    found = loaded(tmp_path, '[holdout]\nsalt = "all"\nshare = 0.05\n', TWO_LAYERS, HALVES, THIRDS)
    held = [member for member in MEMBERS if "holdout" in allocate(found, member, US_TV).cells]
    assert is_share(len(held), len(MEMBERS), 0.05)
    assert all(allocate(found, member, US_TV).cells == {"holdout": "holdout"} for member in held)
    assert all(allocate(found, member, US_TV).changes is NO_CHANGES for member in held)


# --- stability ---


def test_a_test_in_another_layer_moves_nobody(tmp_path: Path) -> None:
    assert cells_of(loaded(tmp_path, TWO_LAYERS, HALVES), "half") == cells_of(
        loaded(tmp_path, TWO_LAYERS, THIRDS, HALVES), "half"
    )


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_a_test_that_grows_keeps_everybody_in_their_cells(tmp_path: Path, share: float) -> None:
    beside = HALVES.replace("half", "beside")
    small = cells_of(loaded(tmp_path, TWO_LAYERS, beside, HALVES.replace("0.5", str(share))), "half")
    large = cells_of(loaded(tmp_path, TWO_LAYERS, beside, HALVES), "half")
    assert large.items() >= small.items() and len(large) > len(small)


def test_a_test_that_is_added_or_grows_last_takes_nobody_from_the_others(tmp_path: Path) -> None:
    alone = cells_of(loaded(tmp_path, TWO_LAYERS, HALVES), "half")
    for share in ("0.1", "0.5"):
        beside = HALVES.replace("half", "beside").replace("0.5", share)
        assert cells_of(loaded(tmp_path, TWO_LAYERS, HALVES, beside), "half") == alone


def test_a_test_that_grows_before_others_moves_no_more_of_them_than_it_gains(tmp_path: Path) -> None:
    after = HALVES.replace("half", "after")
    small = cells_of(loaded(tmp_path, TWO_LAYERS, HALVES.replace("0.5", "0.40"), after), "after")
    large = cells_of(loaded(tmp_path, TWO_LAYERS, HALVES.replace("0.5", "0.42"), after), "after")
    assert len(small.items() - large.items()) < 0.021 * len(MEMBERS)


def test_a_cell_that_grows_keeps_everybody(tmp_path: Path) -> None:
    small = cells_of(loaded(tmp_path, TWO_LAYERS, HALVES), "half")
    large = cells_of(loaded(tmp_path, TWO_LAYERS, HALVES.replace("0.75", "0.9").replace("0.25", "0.1")), "half")
    assert {member for member, cell in large.items() if cell == "a"} > {member for member, cell in small.items() if cell == "a"}


def test_ranges_stand_where_they_say(tmp_path: Path) -> None:
    ranged = HALVES.replace("share = 0.5", "ranges = [[0.0, 0.2], [0.5, 0.8]]").replace("share = 0.75", "ranges = [[0.0, 0.75]]")
    found = loaded(tmp_path, TWO_LAYERS, ranged.replace("share = 0.25", "ranges = [[0.75, 1.0]]"))
    page, half = Space("page salt"), Space("page salt\0half")
    for member in MEMBERS[:2000]:
        at, within = page.bucket(member.encode()), half.bucket(member.encode())
        expected = {"half": "a" if within < 7500 else "b"} if at < 2000 or 5000 <= at < 8000 else {}
        assert allocate(found, member, US_TV).cells == expected


def test_shares_take_what_ranges_leave() -> None:
    owners = [0] * 6000 + [FREE] * 4000
    claim_share(owners, 1, "name", 4000)
    assert as_ranges(owners, 0) == [(0, 6000)] and as_ranges(owners, 1) == [(6000, 10_000)]
    assert [sum(equal_parts(count)) for count in (1, 3, 7, 11)] == [BUCKETS] * 4


# --- rules, times and overrides ---


@pytest.mark.parametrize(
    ("rules", "passing", "stopped"),
    [
        ('rules.countries = ["US", "CA"]', Context(0, country="CA"), Context(0, country="DE")),
        ('rules.countries = ["US"]', Context(0, country="US"), Context(0)),
        ('rules.devices = ["tv"]', Context(0, "tv"), Context(0, "phone")),
        ('rules.members = "cold"', Context(0, is_known=False), Context(0, is_known=True)),
        ('rules.members = "known"', Context(0, is_known=True), Context(0)),
        ('rules.members = "cold"', Context(0, is_known=False), Context(0)),
        ('rules.attributes = { plan = ["pro", "team"] }', Context(0, attributes={"plan": "team"}), Context(0)),
        (
            'rules.attributes = { plan = ["pro"] }',
            Context(0, attributes={"plan": "pro"}),
            Context(0, attributes={"plan": "free"}),
        ),
        ("start = 1970-01-01T00:00:01Z", Context(1000), Context(999)),
        ("end = 1970-01-01T00:00:01+00:00", Context(999), Context(1000)),
    ],
)
def test_rules_say_whom_a_test_is_for(tmp_path: Path, rules: str, passing: Context, stopped: Context) -> None:
    found = loaded(tmp_path, TWO_LAYERS, HALVES.replace("share = 0.5", f"share = 1.0\n{rules}"))
    assert "half" in allocate(found, "m1", passing).cells
    assert allocate(found, "m1", stopped).cells == {}


def test_what_is_said_before_the_member_is_known_stays(tmp_path: Path) -> None:
    of_cold = THIRDS.replace("share = 1.0", 'share = 1.0\nrules.members = "cold"').replace('changes.arm = "other"', "")
    found = loaded(tmp_path, TWO_LAYERS, HALVES, of_cold)
    assert found.waits_for_member and not loaded(tmp_path, TWO_LAYERS, HALVES, THIRDS).waits_for_member
    for member in MEMBERS[:500]:
        before = allocate(found, member, Context(0)).cells
        assert "thirds" not in before
        assert allocate(found, member, Context(0, is_known=False)).cells.items() > before.items()


def test_overrides_go_before_hash_rules_and_holdout(tmp_path: Path) -> None:
    ruled = 'share = 0.0001\nrules.countries = ["JP"]\nend = 2000-01-01T00:00:00Z\noverrides = { qa = "b" }'
    by_list = HALVES.replace("share = 0.5", ruled).replace("share = 0.75", 'share = 0.75\nmembers = ["qa-1", "qa-2"]')
    everybody = '[holdout]\nsalt = "all"\nshare = 1.0\n'
    found = loaded(tmp_path, everybody, TWO_LAYERS, by_list, THIRDS)
    assert allocate(found, "qa", US_TV).cells["half"] == "b" and allocate(found, "qa", US_TV).changes.policy == "alone"
    assert allocate(found, "qa-1", US_TV).cells["half"] == allocate(found, "qa-2", US_TV).cells["half"] == "a"
    assert "thirds" in allocate(found, "qa", US_TV).cells
    assert allocate(found, "m1", US_TV).cells == {"holdout": "holdout"}


def test_an_override_keeps_a_member_out_of_what_it_excludes(tmp_path: Path) -> None:
    layers = TWO_LAYERS.replace('"page salt"', '"page salt"\nholdout = 0.2') + '[layers.third]\nsalt = "third"\n'
    inside = HALVES.replace("share = 0.5", 'share = 0.0\nrules.countries = ["JP"]\noverrides = { MEMBERS }')
    same_layer = HALVES.replace("half", "same-layer").replace("0.5", "0.8").replace("alone", "template")
    same_change = (
        HALVES.replace("half", "same-change").replace('"page"', '"third"').replace("0.5", '1.0\nrules.countries = ["US"]')
    )
    members = MEMBERS[:300]
    forced = inside.replace("MEMBERS", ", ".join(f'{member} = "b"' for member in members))
    # `same-layer` and `same-change` may not meet either.
    same_layer = same_layer.replace("share = 0.8", 'share = 0.8\nrules.countries = ["FR"]')
    found = loaded(tmp_path, layers, forced, same_layer, same_change, THIRDS)
    for country in ("US", "FR"):
        context = Context(0, country=country)
        assert all(allocate(found, member, context).cells.keys() == {"half", "thirds"} for member in members)
        others = {test for member in MEMBERS[300:600] for test in allocate(found, member, context).cells}
        assert others == {"thirds", "page/holdout", "same-change" if country == "US" else "same-layer"}


# --- changes ---


def test_changes_of_all_cells_are_merged_and_kept(tmp_path: Path) -> None:
    explores = THIRDS.replace("changes.settings", 'changes.exploration = { kind = "softmax" }\nchanges.settings')
    found = loaded(tmp_path, TWO_LAYERS, HALVES, explores)
    assert found.arms == {"other"}
    kept = {}
    for member in MEMBERS[:3000]:
        allocation = allocate(found, member, US_TV)
        half, thirds = allocation.cells.get("half"), allocation.cells["thirds"]
        changes = allocation.changes
        assert changes.policy == ("alone" if half == "b" else None)
        assert changes.arm == ("other" if thirds == "z" else None)
        assert changes.settings == ({"rows": 8} if thirds == "y" else {})
        assert changes.exploration == (ExplorationSettings(kind="softmax") if thirds == "y" else None)
        assert kept.setdefault((half == "b", thirds), changes) is changes
    assert len(kept) == 6 and kept[False, "x"] is NO_CHANGES


def test_the_kept_combinations_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("online.experiments.allocation.MERGED_LIMIT", 2)
    several = "".join(
        f'[layers.l{layer}]\nsalt = "s{layer}"\n[tests.t{layer}]\nlayer = "l{layer}"\nshare = 1.0\n[tests.t{layer}.cells.a]\n'
        f'[tests.t{layer}.cells.b]\nchanges.stages.{stage} = "json:dumps"\n'
        for layer, stage in enumerate(("blend", "rank", "rows", "page"))
    )
    found = loaded(tmp_path, several)
    for member in MEMBERS[:200]:
        allocation = allocate(found, member, US_TV)
        changed = {f"t{['blend', 'rank', 'rows', 'page'].index(stage)}" for stage in allocation.changes.stages}
        assert changed == {test for test, cell in allocation.cells.items() if cell == "b"}
        assert len(found._merged) <= 2


def test_without_experiments_there_are_no_cells() -> None:
    assert allocate(NO_EXPERIMENTS, "m1", US_TV).cells == {} and allocate(NO_EXPERIMENTS, "m1", US_TV).changes is NO_CHANGES


def test_the_example_is_accepted() -> None:
    path = Path(__file__).parents[2] / "infra" / "experiments.example.toml"
    found = load_experiments(path, Known(policies=("template", "stagewise"), devices=("tv", "phone")))
    assert [test.name for test in found.tests] == ["long-rows", "new-models", "exploration"]
    assert allocate(found, "qa-1", US_TV).cells["long-rows"] == "long-rows"
