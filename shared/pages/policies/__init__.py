"""How drafted rows become a page: four policies side by side, chosen by name.

The kinds are those of Alvino and Basilico, "Learning a Personalized Homepage" (Netflix Technology Blog, 2015).

    drafts + PageView → PagePolicy.place → Placed rows → `shared.pages.assembly` makes their cells
"""
