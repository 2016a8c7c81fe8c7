#!/usr/bin/env bash
# Hands the nightly run to the Spark cluster. Called by cron, by the systemd timer, by the Kubernetes CronJob.
#
#   MARQUEE_CONFIG  configuration                      (/etc/marquee/marquee.toml)
#   SPARK_MASTER    where the jobs run                 (required; such as spark://spark-master:7077)
#   DRIVER_HOST     name by which executors reach us   (this host's name)
#   LIMIT           after this long it is ended        (6h)
#
# `nightly` resumes: after a failure, or when the limit ended it, the next run skips what was done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${SPARK_MASTER:?SPARK_MASTER must name the Spark cluster, such as spark://spark-master:7077}"
config=${MARQUEE_CONFIG:-/etc/marquee/marquee.toml}
python=$PWD/.venv/bin/python

# One at a time on this host: a run that takes longer than a day is not joined by the next.
exec 9>"${TMPDIR:-/tmp}/marquee-nightly.lock"
flock --nonblock 9 || { echo "the previous nightly run is still going; this one is skipped" >&2; exit 0; }

jars=$("$python" -m shared.jars spark)

# spark-submit would look for its Spark with the python3 of the PATH, which need not be this one.
SPARK_HOME=$("$python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
export SPARK_HOME

exec timeout --signal=TERM --kill-after=2m "${LIMIT:-6h}" \
    "$SPARK_HOME/bin/spark-submit" \
    --master "$SPARK_MASTER" \
    --deploy-mode client \
    --name marquee-nightly \
    --jars "$jars" \
    --conf "spark.pyspark.python=$python" \
    --conf "spark.driver.host=${DRIVER_HOST:-$(hostname)}" \
    --conf "spark.driver.bindAddress=0.0.0.0" \
    --conf "spark.ui.enabled=false" \
    infra/submit.py nightly --config "$config" "$@"
