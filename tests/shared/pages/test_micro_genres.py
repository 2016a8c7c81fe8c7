"""Micro-genres: which a catalogue has, and what they are called."""

import pytest

from shared.pages.micro_genres import MicroGenre, micro_genres, of_catalogue
from shared.titles import Title


@pytest.mark.parametrize(
    ("micro_genre", "name", "key"),
    [
        (MicroGenre("Drama", "Tense", "DK"), "Tense Dramas from Denmark", "micro:Tense/Drama/DK"),
        (MicroGenre("Comedy", None, "US"), "Comedies from the United States", "micro:-/Comedy/US"),
        (
            MicroGenre("Science Fiction", "Mind-Bending"),
            "Mind-Bending Science Fiction Titles",
            "micro:Mind-Bending/Science Fiction/-",
        ),
        (MicroGenre("Mystery", "dark", "GB"), "Dark Mysteries from the United Kingdom", "micro:dark/Mystery/GB"),
        (MicroGenre("Western", None, "XK"), "Westerns from XK", "micro:-/Western/XK"),
        (MicroGenre("Drama", "Based on a Book", "SE"), "Dramas from Sweden: Based on a Book", "micro:Based on a Book/Drama/SE"),
    ],
)
def test_names_read_as_people_say_them(micro_genre: MicroGenre, name: str, key: str) -> None:
    assert (micro_genre.name, micro_genre.key) == (name, key)


def test_a_title_belongs_to_all_that_its_genres_tags_and_origin_make() -> None:
    title = Title("t1", "One", ("Drama", "Crime"), tags=("Tense", "Crime", "Dramatic"), origin="DK")
    names = [micro_genre.name for micro_genre in micro_genres(title)]
    assert names == [
        "Dramas from Denmark", "Tense Dramas", "Tense Dramas from Denmark", "Crime Dramas", "Crime Dramas from Denmark",
        "Crime Stories from Denmark", "Tense Crime Stories", "Tense Crime Stories from Denmark", "Dramatic Crime Stories",
        "Dramatic Crime Stories from Denmark",
    ]  # fmt: skip
    assert list(micro_genres(Title("t2", "Two", ("Drama",)))) == []


def test_a_catalogue_has_those_that_enough_titles_belong_to_the_largest_first() -> None:
    titles = [
        Title(f"t{number}", "", ("Drama",), tags=("Tense",) if number < 5 else ("Dark",), origin="DK") for number in range(8)
    ]
    assert [each.name for each in of_catalogue(titles, least=3, most=9)] == [
        "Dramas from Denmark", "Tense Dramas", "Tense Dramas from Denmark", "Dark Dramas", "Dark Dramas from Denmark",
    ]  # fmt: skip
    assert [each.name for each in of_catalogue(titles, least=4, most=2)] == ["Dramas from Denmark", "Tense Dramas"]
