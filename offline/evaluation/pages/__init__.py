"""How good pages of rows and cells are, judged by what members played next and by what the pages show.

    history ─(split by time)→ past → snapshot in memory (`fitted`) ─┐
                              held-out visits (`visits`) ───────────┴→ pages (`making`) → figures (`relevance`, `variety`)
    impressions and plays → the browse model that the figures weigh cells by (`browse_fit`)

Pages are built by the very functions that serve (`shared.pages`). Called by `python -m offline evaluate-pages` and by benches.
"""
