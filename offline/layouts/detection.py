"""Which layout a folder has, and which files in it hold what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from offline.layouts import history, titles
from offline.layouts.files import SUFFIXES, TextFormat, locate
from offline.layouts.history import HistoryBatch, HistoryFormat, KnownTitles
from shared.errors import InputError

_ML_100K_HISTORY = {"member_id": "user id", "title_id": "item id", "weight": "rating", "at_ms": "timestamp"}
_ML_DAT_HISTORY = {"member_id": "UserID", "title_id": "MovieID", "weight": "Rating", "at_ms": "Timestamp"}
_ML_CSV_HISTORY = {"member_id": "userId", "title_id": "movieId", "weight": "rating", "at_ms": "timestamp"}


@dataclass(frozen=True)
class _Kind:
    """One layout: the names of its two data sets, and how each is read."""

    name: str
    title_set: str
    history_set: str
    read_titles: Callable[[str], Iterator[titles.Placed]]
    history: HistoryFormat
    hint: str


def _movielens(columns: dict[str, str], delimiter: str) -> HistoryFormat:
    text = TextFormat(delimiter, tuple(columns.values()), quoted=False)
    return HistoryFormat(text, columns, seconds=True)


_KINDS = (
    _Kind("ml-100k", "u.item", "u.data", titles.read_ml_100k, _movielens(_ML_100K_HISTORY, "\t"), "u.item and u.data"),
    _Kind(
        "ml-1m", "movies.dat", "ratings.dat", titles.read_ml_dat, _movielens(_ML_DAT_HISTORY, "::"), "movies.dat and ratings.dat",
    ),
    _Kind(
        "ml-csv", "movies", "ratings", titles.read_ml_csv, HistoryFormat(published=_ML_CSV_HISTORY, seconds=True),
        "movies.csv and ratings.csv",
    ),
    _Kind("interactions", "titles", "interactions", titles.read_own, HistoryFormat(), "titles.* with interactions.*"),
    _Kind("plays", "titles", "plays", titles.read_own, HistoryFormat(events=True), "titles.* with plays.*"),
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """A user's folder, understood.

    `name` is ml-100k, ml-1m, ml-csv (ml-latest-small, ml-20m and later), interactions or plays.
    """

    name: str
    folder: str
    title_files: tuple[str, ...]
    history_files: tuple[str, ...]

    def titles(self) -> pa.Table:
        """All titles, as `TITLE_SCHEMA`.

        Raises
        ------
        InputError : a line that cannot be used, a title id that comes twice, or no title at all.
        """
        read = _kind(self.name).read_titles
        return titles.build((placed for file in self.title_files for placed in read(file)), self.folder)

    def history(self, catalogue: pa.Table, files: Sequence[str] | None = None) -> Iterator[HistoryBatch]:
        """Stream the history, in the order of the files, with bounded memory.

        Parameters
        ----------
        catalogue : what `titles` gave; a row that names another title is a bad line.
        files : some of `history_files`; None for all, and then no row at all is an error.

        Raises
        ------
        InputError : a file that cannot be read, lacks a column, or gives times in seconds throughout; an empty data set.
        """
        known = KnownTitles(catalogue, _sets(self.folder, self.title_files))
        layout = _kind(self.name).history
        empty = True
        for file in self.history_files if files is None else files:
            for batch in history.read(file, layout, known):
                empty = empty and not batch.events.num_rows and not batch.bad
                yield batch
        if empty and files is None:
            raise empty_history(self)


def empty_history(layout: Layout) -> InputError:
    """The error of a data set without a single interaction."""
    return InputError(f"{layout.folder}: the data set is empty: no line in {_sets(layout.folder, layout.history_files)}")


def detect(folder: str) -> Layout:
    """Find out which layout a folder has.

    Parameters
    ----------
    folder : a local folder or any fsspec URL. A data set is a file (.csv, .csv.gz, .parquet) or a folder of such part files.

    Raises
    ------
    InputError : no such folder, nothing in it, or nothing that is known; says what was found and what was expected.
    """
    root = folder.rstrip("/") or folder
    found = _data_sets(root)
    fitting = [kind for kind in _KINDS if kind.title_set in found and kind.history_set in found]
    if not fitting:
        shown = ", ".join(sorted(_shown(root))[:12]) or "nothing"
        expected = "; or ".join(kind.hint for kind in _KINDS)
        raise InputError(f"{folder}: no known layout; found {shown}; expected {expected} (.csv, .csv.gz or .parquet)")
    if len(fitting) > 1:
        sets = " and ".join(sorted({kind.history_set for kind in fitting}))
        raise InputError(f"{folder}: holds {sets} at once; keep the one that is to be imported")
    kind = fitting[0]
    return Layout(kind.name, folder, found[kind.title_set], found[kind.history_set])


def _kind(name: str) -> _Kind:
    return next(kind for kind in _KINDS if kind.name == name)


def _sets(folder: str, files: Sequence[str]) -> str:
    """The files, or folders of part files, as they stand in the user's folder."""
    names = (file.removeprefix(folder.rstrip("/") + "/").partition("/")[0] for file in files)
    return ", ".join(dict.fromkeys(names))


def _base(file: str) -> str:
    return file.rsplit("/", 1)[-1]


def _shown(root: str) -> list[str]:
    filesystem, path = locate(root)
    return [_base(str(entry).rstrip("/")) for entry in filesystem.ls(path, detail=False)]


def _data_sets(root: str) -> dict[str, tuple[str, ...]]:
    """Each data set in the folder: its name without suffix, and its files as the caller would name them."""
    filesystem, path = locate(root)
    try:
        if not filesystem.isdir(path):
            what = "is a file; a folder is expected" if filesystem.exists(path) else "no such folder"
            raise InputError(f"{root}: {what}")
        found: dict[str, list[str]] = {}
        for entry in filesystem.ls(path, detail=True):
            name = _base(str(entry["name"]).rstrip("/"))
            if entry["type"] == "directory":
                inside = [str(file) for file in filesystem.find(entry["name"])]
                files = [f"{root}/{name}{file.removeprefix(str(entry['name']).rstrip('/'))}" for file in inside if _is_data(file)]
            else:
                files = [f"{root}/{name}"] if _is_data(name) or name in _PLAIN else []
            if files:
                found.setdefault(_stem(name), []).extend(files)
    except OSError as error:
        raise InputError(f"{root}: cannot be read ({error})") from None
    for stem, files in found.items():
        if len({file.endswith(".parquet") for file in files}) > 1:
            raise InputError(f"{root}: holds {stem} both as CSV and as Parquet; keep one")
    return {stem: tuple(sorted(files)) for stem, files in found.items()}


_PLAIN = {name for kind in _KINDS for name in (kind.title_set, kind.history_set) if "." in name}


def _is_data(file: str) -> bool:
    return _base(file).endswith(SUFFIXES) and not _base(file).startswith(("_", "."))


def _stem(name: str) -> str:
    """`ratings.csv.gz` is the data set `ratings`; `u.data` stays as it is."""
    if name in _PLAIN:
        return name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
