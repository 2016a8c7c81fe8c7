"""A file of experiments with a mistake: one sentence that names file, test and cell."""

from pathlib import Path

import pytest

from online.experiments import Known, load_experiments
from shared.errors import ConfigError
from tests.online.test_online_experiments import HALVES, TWO_LAYERS, loaded, written

A_TEST = """
[layers.page]
salt = "page salt"
[layers.rank]
salt = "rank salt"
[tests.one]
layer = "page"
SHARE
[tests.one.cells.a]
[tests.one.cells.b]
CELL
"""


@pytest.mark.parametrize(
    ("share", "cell", "sentence"),
    [
        ("share = 0.5\nranges = [[0.0, 0.5]]", "", "test 'one': either share or ranges is expected, of layer 'page'"),
        ("", "", "test 'one': either share or ranges is expected"),
        ("share = 1.5", "", "test 'one': share is 1.5; 0 to 1 is expected"),
        ("share = nan", "", "test 'one': share is nan; 0 to 1 is expected"),
        ("share = 0.12345", "", "test 'one': share 0.12345 is finer than 0.0001"),
        ("share = 'half'", "", "test 'one': share: expected `float | null`, got `str`"),
        ("shares = 0.5", "", "test 'one' has an unknown key 'shares'; known keys: layer, share, ranges, start, end, rules"),
        ("ranges = [[0.5, 0.2]]", "", r"test 'one': range \[0.5, 0.2\] is no part of 0 to 1"),
        ("ranges = [[0.0, 0.5], [0.4, 0.6]]", "", "test 'one': two of its ranges overlap at 0.4"),
        ("share = 1\nrules.country = ['US']", "",
         "test 'one' has an unknown key 'rules.country'; known keys: countries, devices"),
        ("share = 1\nrules.countries = ['usa']", "", "test 'one': rules.countries has 'usa'; codes of two capitals"),
        ("share = 1\nrules.devices = ['toaster']", "", "test 'one': device 'toaster' is unknown; known: tv, phone"),
        ("share = 1\nrules.members = 'old'", "", "test 'one': rules.members: invalid enum value 'old'"),
        ("share = 1\nrules.attributes = { plan = [] }", "", "test 'one': rules.attributes.plan has no values"),
        ("share = 1\nstart = 2026-01-02", "", "test 'one': start: expected `datetime | null`, got `date`"),
        ("share = 1\nstart = 2026-01-02T00:00:00", "", "test 'one': start: expected `datetime` with a timezone component"),
        ("share = 1\nstart = 2026-01-02T00:00:00Z\nend = 2026-01-02T00:00:00Z", "",
         "test 'one': end 2026-01-02 .* not after start"),
        ("share = 1\noverrides = { m1 = 'c' }", "", "test 'one': the override of member 'm1' names cell 'c'; cells: a, b"),
        ("share = 1\noverrides = { m1 = 'a' }", "members = ['m1']",
         "test 'one': member 'm1' is overridden to cell 'a' and to cell 'b'"),
        ("share = 1", "share = 0.5", "test 'one', cell 'a' has no share, but other cells do"),
        ("share = 1", "ranges = [[0.0, 0.5]]", "test 'one', cell 'a': some cells have ranges, so each has"),
        ("share = 1", "weight = 1",
         "test 'one', cell 'b' has an unknown key 'weight'; known keys: share, ranges, members, changes"),
        ("share = 1", "changes.polcy = 'x'", "test 'one', cell 'b' has an unknown key 'changes.polcy'; known keys: arm, policy"),
        ("share = 1", "changes.exploration.kid = 'x'", "cell 'b' has an unknown key 'changes.exploration.kid'; known keys: kind"),
        ("share = 1", "changes.exploration.epsilon = 2", "cell 'b': changes.exploration.epsilon: expected `float` <= 1.0"),
        ("share = 1", "changes.policy = 'best'", "test 'one', cell 'b': policy 'best' is unknown; known: template, stagewise"),
        ("share = 1", "changes.policy = 'no.module:Name'", "cell 'b': policy: 'no.module:Name' cannot be imported"),
        ("share = 1", "changes.rows = ['trending', 'x']", "test 'one', cell 'b': changes.rows names 'x'; known are"),
        ("share = 1", "changes.rows = []", "test 'one', cell 'b': changes.rows is empty"),
        ("share = 1", "changes.stages.ranking = 'json:dumps'", "cell 'b': stage 'ranking' is unknown; known: fetch, blend, rank"),
        ("share = 1", "changes.stages.allocate = 'json:dumps'", "cell 'b': stage 'allocate' is unknown"),
        ("share = 1", "changes.stages.rank = 'json'", "cell 'b': stage 'rank': 'json' is not written package.module:name"),
        ("share = 1", "changes.stages.rank = 'json:nothing'", "cell 'b': stage 'rank': 'json:nothing' cannot be imported"),
        ("share = 1", "changes.stages.rank = 'string:digits'",
         "cell 'b': stage 'rank': 'string:digits' is a str, which cannot be"),
        ("share = 1", "changes.stages.rank = 1", r"test 'one', cell 'b': changes.stages\[\.\.\.\]: expected `str`, got `int`"),
        ("share = 1", "changes.settings.rowes = 8", "test 'one', cell 'b': setting 'rowes' is unknown; known: rows, row_length,"),
        ("share = 1", "changes.settings.rows = 0", "cell 'b': changes.settings.rows is 0: expected `int` >= 1"),
        ("share = 1", "changes.settings.stability = 1.5", "cell 'b': changes.settings.stability is 1.5: expected `float` <= 1.0"),
        ("share = 1", "changes.arm = ''", "test 'one', cell 'b': changes.arm is empty"),
        ("share = 1\nrules.members = 'cold'", "changes.arm = 'x'", "test 'one', cell 'b': changes arm for cold members"),
        ("share = 1", "[tests.two]\nlayer = 'page'\nshare = 0.1\n[tests.two.cells.a]",
         "layer 'page': one, two share 110 % of it"),
        ("share = 1", "[tests.two]\nlayer = 'rank'\nshare = 0.1",
         r"test 'two' has no cells; \[tests.two.cells.NAME\] is expected"),
        ("share = 1", "[tests.two]\nlayer = 'pag'\nshare = 0.1\n[tests.two.cells.a]",
         "test 'two': layer 'pag' is unknown; layers: page"),
        ("share = 1", "[tests.two]\nshare = 0.1\n[tests.two.cells.a]", "test 'two' lacks 'layer'"),
        ("ranges = [[0, 0.5]]", "[tests.two]\nlayer = 'page'\nranges = [[0.4, 0.6]]\n[tests.two.cells.a]",
         "test 'two': its ranges overlap those of test 'one' in layer 'page' at 0.4"),
        ("share = 1", "[tests.one]\nlayer = 'page'", "not valid TOML: Cannot declare .'tests', 'one'. twice"),
        ("share = 1", "[tests.one.cells.a]", "not valid TOML: Cannot declare .'tests', 'one', 'cells', 'a'. twice"),
        ("share = 1", "[tests.'a b']", "test 'a b': a name of 1 to 64 letters"),
        ("share = 1", "[tests.one.cells.'a/b']", "test 'one', cell 'a/b': a name of 1 to 64 letters"),
        ("share = 1", "[tests.holdout]\nlayer = 'rank'\nshare = 0.1\n[tests.holdout.cells.a]",
         "test 'holdout': the name stands for"),
        ("share = 1", "[layers.third]\nsalt = 'page salt'", "layer 'page' and layer 'third' have the same salt 'page salt'"),
        ("share = 1", "[layers.third]\nsalt = ''", "layer 'third': salt '' is empty"),
        ("share = 1", "[layers.third]\nsalt = 3", "layer 'third': salt: expected `str`, got `int`"),
        ("share = 1", "[layers.third]\nsalt = 's'\nholdout = 1.1", "layer 'third': holdout: share is 1.1; 0 to 1 is expected"),
        ("share = 1", "[holdout]\nsalt = 's'\nshare = -1.0", "holdout: share is -1; 0 to 1 is expected"),
        ("share = 1", "[test.one]", "has an unknown key 'test'; known keys: holdout, layers, tests"),
        ("share = 1", "[", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_test_and_cell(tmp_path: Path, share: str, cell: str, sentence: str) -> None:
    path = written(tmp_path, A_TEST.replace("SHARE", share).replace("CELL", cell))
    known = Known(policies=("template", "stagewise"), devices=("tv", "phone"))
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_experiments(path, known)
    assert str(caught.value).startswith(f"{path}")


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        (("share = 0.6", "share = 0.6"), "test 'half': its cells share 120 % of it; 100 % is expected"),
        (("share = 0.6", "share = 0.3"), "test 'half': its cells share 90 % of it; 100 % is expected"),
        (("ranges = [[0, 0.6]]", "ranges = [[0.5, 1]]"), "test 'half', cell 'b': its ranges overlap those of cell 'a' at 0.5"),
        (
            ("ranges = [[0, 0.6]]", "ranges = [[0.7, 1]]"),
            "test 'half': no cell has the range from 0.6; all of 0 to 1 is expected",
        ),
        (
            ("ranges = [[0, 0.6]]", "share = 0.4"),
            "test 'half', cell 'b': some cells have ranges, so each has ranges and no share",
        ),
    ],
)
def test_cells_share_the_whole_test(tmp_path: Path, shares: tuple[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        loaded(tmp_path, TWO_LAYERS, HALVES.replace("share = 0.75", shares[0]).replace("share = 0.25", shares[1]))


def test_tests_that_a_member_may_be_in_together_cannot_change_the_same(tmp_path: Path) -> None:
    again = HALVES.replace("half", "again").replace('"page"', '"rank"').replace("cells.b", "cells.z")
    sentence = "test 'half', cell 'b' and test 'again', cell 'z' both change policy, and a member can be in both"
    with pytest.raises(ConfigError, match=sentence):
        loaded(tmp_path, TWO_LAYERS, HALVES, again)
    for one, other in [
        ('rules.countries = ["US"]', 'rules.countries = ["CA", "DE"]'),
        ('rules.devices = ["tv"]', 'rules.devices = ["phone"]'),
        ('rules.members = "cold"', 'rules.members = "known"'),
        ('rules.attributes = { plan = ["pro"] }', 'rules.attributes = { plan = ["free"], since = ["2020"] }'),
        ("end = 2026-01-01T00:00:00Z", "start = 2026-01-01T00:00:00Z"),
    ]:
        apart = HALVES.replace("share = 0.5", f"share = 0.5\n{one}"), again.replace("share = 0.5", f"share = 0.5\n{other}")
        assert len(loaded(tmp_path, TWO_LAYERS, *apart).tests) == 2
        with pytest.raises(ConfigError, match="both change policy"):
            loaded(tmp_path, TWO_LAYERS, apart[0], again.replace("share = 0.5", f"share = 0.5\n{one}"))
        override = 'share = 0.5\noverrides = { qa = "a" }'
        with pytest.raises(
            ConfigError, match="member 'qa' is overridden into tests 'half' and 'again', which exclude each other"
        ):
            loaded(tmp_path, TWO_LAYERS, *(part.replace("share = 0.5", override) for part in apart))
