"""A loaded snapshot with what every request needs of it worked out once, and checked so that no request can trip over it."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shared.errors import SnapshotError
from shared.pages.request import Request
from shared.snapshots import Snapshot

Indices = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
T = TypeVar("T")

NEW_AGE_MS = 60 * 24 * 3600 * 1000
NEW_TITLES = 50


class Serving:
    """One snapshot, ready to answer requests. Read by many threads; never changed after it is built.

    Attributes
    ----------
    version, created_at_ms : the snapshot's.
    index : title id to title index.
    ids, names, title_genres, runtimes_s : of each title, in index order.
    cards : (4, titles) objects, the same as one array, from which many are taken at once.
    similar_titles : (titles, n) int32; the index past the last title where a title has fewer neighbours.
    similar_scores : (titles, n) float32 in [0, 1].
    trending : (titles,) int32, the most trending first.
    genres : names of the genres, in alphabetical order.
    genre_titles : (genres, titles) bool, which titles a genre has.
    released_ms : (titles,) int64, the least int64 where unknown.
    new_titles : (n,) int32, released within `NEW_AGE_MS` before the snapshot was made, the most popular first.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Prepare a snapshot.

        Raises
        ------
        SnapshotError : an array is missing, or has a wrong shape or title indices that do not exist.
        """
        self.snapshot = snapshot
        self.version = snapshot.version
        self.created_at_ms = snapshot.manifest.created_at_ms
        catalogue = snapshot.catalogue
        self.count = len(catalogue)
        self.index = catalogue.index
        self.ids = [title.title_id for title in catalogue.titles]
        self.names = [title.name for title in catalogue.titles]
        self.title_genres = [title.genres for title in catalogue.titles]
        self.runtimes_s = [title.runtime_s for title in catalogue.titles]
        self.cards = np.empty((4, self.count), dtype=object)
        for number, title in enumerate(catalogue.titles):  # cell by cell, or numpy would take genres apart
            card = title.title_id, title.name, title.genres, title.runtime_s
            for row in range(len(card)):
                self.cards[row, number] = card[row]
        near = self._neighbours("similar_titles")
        scores = self._array("similar_scores", near.shape)
        if not np.isfinite(scores).all():
            raise SnapshotError(f"snapshot {self.version!r}: similar_scores has values that are no numbers")
        self.similar_titles = np.where(near < 0, np.int32(self.count), near)
        self.similar_scores = np.where(near < 0, np.float32(0.0), np.clip(scores, 0.0, 1.0).astype(np.float32))
        self.trending = self._ranking("trending")
        self.countries = {name.partition("/")[2] for name in snapshot.arrays if name.startswith("popular/")}
        self._orders: dict[str | None, Indices] = {country: self._ranking(f"popular/{country}") for country in self.countries}
        self._orders[None] = self._ranking("popular")
        self._popularity = {country: self._popularity_of(f"popular/{country}") for country in self.countries}
        self._popularity_overall = self._popularity_of("popular")
        self._available: dict[str, Mask] = {}
        self._suitable: dict[tuple[str | None, tuple[str, ...]], Mask] = {}
        self._kept: dict[Callable[[Serving], Any], Any] = {}
        self.genres = tuple(catalogue.genres)
        self.genre_titles = np.zeros((len(self.genres), self.count), dtype=np.bool_)
        for row, titles in enumerate(catalogue.genres.values()):
            self.genre_titles[row, titles] = True
        unknown = np.iinfo(np.int64).min
        releases = [unknown if title.released_ms is None else title.released_ms for title in catalogue.titles]
        self.released_ms = np.array(releases, dtype=np.int64)
        self.new_titles = self._new_at(self.created_at_ms)

    def as_of(self, created_at_ms: int) -> "Serving":
        """The same as if the snapshot had been made at another time; replays need it where nobody knows what served."""
        other = copy.copy(self)
        other.created_at_ms = created_at_ms
        other.new_titles = self._new_at(created_at_ms)
        other._kept = {}
        return other

    def once(self, make: Callable[["Serving"], T]) -> T:
        """What a function makes of this snapshot, made by whoever asks first and kept as long as the snapshot is."""
        if make not in self._kept:
            self._kept[make] = make(self)
        made: T = self._kept[make]
        return made

    def popularity(self, country: str | None) -> tuple[Scores, bool]:
        """How popular each title is, (titles,) float32 from 1 down to 0, and whether this is the country's own list."""
        own = self._popularity.get(country) if country is not None else None
        return (self._popularity_overall, False) if own is None else (own, True)

    def popular_order(self, country: str | None) -> Indices:
        """All titles, the most popular in the country first; overall for a country without plays. (titles,) int32."""
        return self._orders[country if country in self.countries else None]

    def available(self, country: str | None) -> Mask:
        """Which titles may be shown in a country, (titles,) bool. Not to be written to."""
        key = country or ""
        mask = self._available.get(key)
        if mask is None:
            mask = self._available[key] = self.snapshot.catalogue.available(country)
        return mask

    def _new_at(self, at_ms: int) -> Indices:
        popular = self.popular_order(None)
        age_ms = at_ms - self.released_ms[popular].clip(min=-(1 << 62))  # (titles,)
        return popular[(age_ms >= 0) & (age_ms <= NEW_AGE_MS)][:NEW_TITLES]

    def shown_to(self, request: Request) -> Mask:
        """Which titles may be shown where somebody asks, by country and rating, (titles,) bool. Not to be written to."""
        if not request.ratings:
            return self.available(request.country)
        key = request.country, request.ratings
        mask = self._suitable.get(key)
        if mask is None:
            suitable = self.snapshot.catalogue.suitable(request.ratings[-1], request.ratings)
            mask = self._suitable[key] = self.available(request.country) & suitable
        return mask

    def _popularity_of(self, name: str) -> Scores:
        return self._descending(self._ranking(name))

    def _descending(self, ranking: Indices) -> Scores:
        scores = np.zeros(self.count, dtype=np.float32)
        scores[ranking] = 1.0 - np.arange(len(ranking), dtype=np.float32) / max(1, self.count)
        return scores

    def _array(self, name: str, shape: tuple[int, ...] | None = None) -> npt.NDArray[np.generic]:
        array = self.snapshot.arrays.get(name)
        if array is None:
            raise SnapshotError(f"snapshot {self.version!r} has no array {name!r}")
        if shape is not None and array.shape != shape:
            raise SnapshotError(f"snapshot {self.version!r}: {name} has shape {array.shape}; {shape} is expected")
        return array

    def _ranking(self, name: str) -> Indices:
        return self._indices(name, dimensions=1, least=0)

    def _neighbours(self, name: str) -> Indices:
        array = self._indices(name, dimensions=2, least=-1)
        if len(array) != self.count:
            raise SnapshotError(f"snapshot {self.version!r}: {name} has {len(array)} rows for {self.count} titles")
        return array

    def _indices(self, name: str, dimensions: int, least: int) -> Indices:
        array = self._array(name)
        if array.ndim != dimensions or array.dtype.kind != "i":
            raise SnapshotError(
                f"snapshot {self.version!r}: {name} is {array.ndim}-dimensional {array.dtype}; {dimensions} of int32 is expected"
            )
        if array.size and (array.min() < least or array.max() >= self.count):
            raise SnapshotError(f"snapshot {self.version!r}: {name} names titles that its {self.count} titles do not include")
        return array.astype(np.int32, copy=False)
