#!/usr/bin/env bash
# Runs nightly.sh each night at $AT (03:10), for a container that has no cron. Ends only when it is told to.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
trap 'kill "$(jobs -p)" 2>/dev/null; exit 0' TERM INT

while true; do
    now=$(date +%s)
    next=$(date --date "today ${AT:-03:10}" +%s)
    ((next > now)) || next=$(date --date "tomorrow ${AT:-03:10}" +%s)
    echo "next nightly run at $(date --date "@$next" --iso-8601=seconds)"
    # In the background, so that the trap is served at once.
    sleep $((next - now)) & wait $!
    ./nightly.sh & wait $! || echo "the nightly run failed with exit code $?; the next one goes on from there" >&2
done
