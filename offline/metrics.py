"""What the batch jobs tell Prometheus. A job ends before anybody could scrape it, so the figures go to a file.

The file named in `[jobs] metrics_file` is what node_exporter's textfile collector reads; it is replaced as a whole.
"""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from shared.errors import UnavailableError


def write(path: str, job: str, status: str, seconds: float, ended_at_s: float) -> None:
    """Write one run's figures, beside those of other jobs: `path` with the job's name before its ending.

    Raises
    ------
    UnavailableError : the file cannot be written.
    """
    if not path:
        return
    registry = CollectorRegistry()
    labels = ("job", "status")
    took = Gauge("marquee_offline_job_seconds", "How long the last run of a job took.", labels, registry=registry)
    ended = Gauge("marquee_offline_job_ended_timestamp_seconds", "When it ended.", labels, registry=registry)
    took.labels(job, status).set(seconds)
    ended.labels(job, status).set(ended_at_s)
    file = Path(path)
    file = file.with_name(f"{file.stem}-{job}{file.suffix}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(file), registry)
    except OSError as error:
        raise UnavailableError(f"{file}: the metrics of job {job!r} cannot be written ({error.strerror})") from None
