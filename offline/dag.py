"""All jobs by name, and the order in which `nightly` runs them."""

from offline import candidates, evaluate, ingest, popularity, publish, ranker, replay, similar
from offline.jobs import Job
from offline.training import jobs as training

NIGHTLY: tuple[Job, ...] = (
    ingest.JOB,
    replay.JOB,
    training.JOB,
    similar.JOB,
    popularity.JOB,
    candidates.JOB,
    ranker.JOB,
    evaluate.JOB,
    publish.JOB,
)
"""Each job stands after those whose tables it reads."""

BY_NAME: dict[str, Job] = {job.name: job for job in NIGHTLY}
