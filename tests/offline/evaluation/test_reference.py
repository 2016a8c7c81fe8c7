"""Our metrics against trec_eval's (through pytrec_eval) on random inputs, ties and all.

trec_eval orders equal scores by document name, the greatest first; titles are named so that this is their order of index.
It knows no seen titles: those are left out of what it is given. Its reciprocal rank has no cut, so it is given what is within
the cut; its average precision divides by all R test titles where ours divides by min(k, R).
"""

import numpy as np
import pytest
import pytrec_eval
import torch
from scipy import sparse

from offline.evaluation.ranking import MEMBER_METRICS, find_hits
from offline.models.topk import top_k

NAMED = {"recall": "recall", "precision": "P", "hr": "success", "ndcg": "ndcg_cut", "map": "map_cut"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [2, 7, 1_000_000])
def test_metrics_equal_trec_eval(seed: int, levels: int) -> None:
    random = np.random.default_rng([seed, levels])
    members, titles, cuts = 50, 120, (1, 5, 10, 100)
    scores = random.integers(0, levels, (members, titles)).astype(np.float32)
    wanted = random.random((members, titles)) < random.choice([0.02, 0.1, 0.6], (members, 1))
    wanted[:, 7] |= ~wanted.any(axis=1)
    seen = (random.random((members, titles)) < 0.2) & ~wanted
    unknown = random.integers(0, 4, members)  # test titles that no ranking holds
    relevant = wanted.sum(axis=1) + unknown

    def score(rows: slice, columns: slice) -> torch.Tensor:
        return torch.from_numpy(scores[rows, columns].copy())

    hits = find_hits(
        top_k(score, members, titles, max(cuts), sparse.csr_array(seen * 1.0)).titles, sparse.csr_array(wanted * 1.0)
    )
    qrels, runs = {}, {}
    for member in range(members):
        judged = {f"{999 - title}": 1 for title in np.flatnonzero(wanted[member])}
        qrels[f"m{member}"] = judged | {f"unknown {number}": 1 for number in range(unknown[member])}
        runs[f"m{member}"] = {f"{999 - title}": float(scores[member, title]) for title in np.flatnonzero(~seen[member])}
    asked = {f"{name}.{','.join(map(str, cuts))}" for name in NAMED.values()}
    reference = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(runs)
    for k in cuts:
        for ours, theirs in NAMED.items():
            expected = np.array([reference[f"m{member}"][f"{theirs}_{k}"] for member in range(members)])
            if ours == "map":
                expected *= relevant / np.minimum(k, relevant)
            np.testing.assert_allclose(MEMBER_METRICS[ours](hits, relevant, k), expected, atol=1e-6, err_msg=f"{ours}@{k}")
        within = {name: dict(sorted(run.items(), key=lambda item: (-item[1], -int(item[0])))[:k]) for name, run in runs.items()}
        ranks = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(within)
        expected = np.array([ranks[f"m{member}"]["recip_rank"] for member in range(members)])
        np.testing.assert_allclose(MEMBER_METRICS["mrr"](hits, relevant, k), expected, atol=1e-6, err_msg=f"mrr@{k}")
