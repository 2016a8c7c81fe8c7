"""Invented title names, put together from word lists of their genre. Any likeness to a real title is chance."""

import numpy as np

GENRES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Action": (
        ("Burning", "Last", "Rogue", "Iron", "Crimson", "Silent", "Double", "Final", "Hidden", "Relentless"),
        ("Strike", "Convoy", "Target", "Vendetta", "Pursuit", "Extraction", "Warhead", "Blockade", "Siege", "Reckoning"),
    ),
    "Adventure": (
        ("Lost", "Golden", "Uncharted", "Distant", "Forgotten", "Wild", "Emerald", "Endless", "Sunken", "Farthest"),
        ("Expedition", "Compass", "Island", "Voyage", "Summit", "Caravan", "Map", "River", "Treasure", "Horizon"),
    ),
    "Animation": (
        ("Little", "Curious", "Clockwork", "Magic", "Paper", "Brave", "Upside-Down", "Flying", "Tiny", "Moonlit"),
        ("Fox", "Robot", "Balloon", "Kingdom", "Penguin", "Acorn", "Dragon", "Teapot", "Parade", "Hedgehog"),
    ),
    "Comedy": (
        ("Awkward", "Reluctant", "Accidental", "Perfect", "Terrible", "Unlikely", "Borrowed", "Overdue", "Very Small", "Second"),
        ("Wedding", "Neighbours", "Roommate", "Reunion", "Landlord", "Honeymoon", "Promotion", "Alibi", "Picnic", "In-Laws"),
    ),
    "Crime": (
        ("Cold", "Dirty", "Broken", "Inside", "Long", "Blind", "Stolen", "Seventh", "Paid", "Midnight"),
        ("Ledger", "Witness", "Heist", "Alley", "Precinct", "Confession", "Debt", "Syndicate", "Verdict", "Informant"),
    ),
    "Documentary": (
        ("Living", "Secret", "Vanishing", "Deep", "Frozen", "Human", "Unseen", "Ordinary", "Great", "Inner"),
        ("Oceans", "Kitchens", "Forests", "Machines", "Cities", "Glaciers", "Markets", "Orchestra", "Archive", "Migration"),
    ),
    "Drama": (
        ("Quiet", "Bitter", "Fragile", "Open", "Tender", "Empty", "Pale", "Borrowed", "Unspoken", "Winter"),
        ("House", "Inheritance", "Letters", "Harvest", "Daughters", "Silence", "Season", "Promise", "Distance", "Garden"),
    ),
    "Family": (
        ("Grandma's", "Big", "Sunny", "Rainy", "Our", "Lucky", "Noisy", "Runaway", "Happy", "Snowy"),
        ("Holiday", "Puppy", "Treehouse", "Camp", "Pony", "Circus", "School", "Lemonade", "Vacation", "Lighthouse"),
    ),
    "Fantasy": (
        ("Ashen", "Silver", "Cursed", "Ancient", "Starless", "Thorned", "Everlasting", "Veiled", "Raven", "Hollow"),
        ("Crown", "Throne", "Oath", "Spell", "Tower", "Gate", "Prophecy", "Blade", "Court", "Wyrm"),
    ),
    "History": (
        ("Imperial", "Fallen", "Glorious", "Treasonous", "Northern", "Velvet", "Divided", "Scarlet", "First", "Exiled"),
        ("Dynasty", "Revolution", "Regent", "Treaty", "Cavalry", "Empire", "Rebellion", "Chancellor", "Armada", "Republic"),
    ),
    "Horror": (
        ("Whispering", "Rotten", "Black", "Buried", "Screaming", "Nameless", "Hungry", "Hollow", "Sleepless", "Red"),
        ("Cellar", "Woods", "Mirror", "Asylum", "Doll", "Harvest", "Attic", "Grave", "Ritual", "Visitor"),
    ),
    "Music": (
        ("Electric", "Blue", "Velvet", "Loud", "Slow", "Golden", "Unplugged", "Broken", "Midnight", "Analog"),
        ("Chorus", "Encore", "Strings", "Refrain", "Tour", "Vinyl", "Ballad", "Tempo", "Stage", "Falsetto"),
    ),
    "Mystery": (
        ("Vanished", "Locked", "Missing", "Third", "Crooked", "Sealed", "Faded", "Double", "Ninth", "Foggy"),
        ("Passenger", "Room", "Cipher", "Portrait", "Heir", "Detective", "Manor", "Clue", "Key", "Stranger"),
    ),
    "Romance": (
        ("Summer", "Sweet", "Parisian", "Late", "Secret", "Faraway", "Gentle", "Unexpected", "Autumn", "Stolen"),
        ("Kiss", "Waltz", "Proposal", "Hearts", "Affair", "Serenade", "Bouquet", "Encounter", "Vows", "Postcards"),
    ),
    "Science Fiction": (
        ("Quantum", "Orbital", "Synthetic", "Stellar", "Dark", "Binary", "Infinite", "Parallel", "Neon", "Zero"),
        ("Colony", "Signal", "Protocol", "Nebula", "Android", "Paradox", "Station", "Eclipse", "Singularity", "Exodus"),
    ),
    "Thriller": (
        ("Deadly", "Trusted", "Invisible", "Shallow", "Fatal", "Glass", "Wrong", "Perfect", "Sudden", "Unknown"),
        ("Conspiracy", "Hostage", "Lie", "Countdown", "Caller", "Shadow", "Edge", "Agent", "Trap", "Obsession"),
    ),
}
"""Genre to its adjectives and nouns."""

_PLACES = (
    "Avalon", "Brightwater", "Calder", "Dunmore", "Eastmark", "Farrow", "Glenholm", "Harrow", "Ilmen", "Juniper Bay", "Kestrel",
    "Lorne", "Marrow Creek", "Northgate", "Oakhaven", "Port Mercy", "Quill", "Ravensfield", "Saltmarsh", "Tarn", "Umber",
    "Vesper", "Westerley", "Yarrow",
)  # fmt: skip
_FIRST_NAMES = (
    "Ada",
    "Bruno",
    "Clara",
    "Dario",
    "Edith",
    "Felix",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Leo",
    "Mira",
    "Nils",
)


def invent(primary_genres: list[str], rng: np.random.Generator) -> list[str]:
    """One name for each title, all different."""
    taken: set[str] = set()
    names: list[str] = []
    for genre in primary_genres:
        adjectives, nouns = GENRES[genre]
        for attempt in range(40):
            adjective, noun, other = rng.choice(adjectives), rng.choice(nouns), rng.choice(nouns)
            place, person = rng.choice(_PLACES), rng.choice(_FIRST_NAMES)
            patterns = (
                f"The {adjective} {noun}",
                f"{adjective} {noun}",
                f"The {noun} of {place}",
                f"{person} and the {adjective} {noun}",
                f"{adjective} {noun}: {place}",
                f"{noun} at {place}",
                f"{place} {noun}",
                f"The {noun} and the {other}",
            )
            name = patterns[int(rng.integers(len(patterns)))]
            if attempt >= 30:
                name = f"{name} {attempt - 28}"
            if name not in taken and not ("'s" in name and name.startswith("The ")) and f"{noun} and the {noun}" not in name:
                break
        else:
            name = f"{name} {len(names)}"
        taken.add(name)
        names.append(name)
    return names
