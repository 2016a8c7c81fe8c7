"""What a page is made of: pure functions from facts about a member to ranked titles, rows and the page.

    Facts + Serving (one snapshot) → blending → ranking → rows → assembly → Page

`online` calls them at request time; `offline` calls the same functions when it builds training examples and replays pages, so
that training and serving cannot disagree. No I/O, no clock; what is random comes from a seed in the request.
"""
