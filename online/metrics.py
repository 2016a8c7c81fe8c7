"""What the online layer counts and times, for Prometheus. The program that embeds it decides how to show them."""

from shared import metrics

REQUESTS = metrics.counter("online", "requests", "Requests answered, by call and the best tier of the answer.", ["call", "tier"])
FALLBACKS = metrics.counter("online", "fallbacks", "Things that requests had to do without, by reason.", ["code"])
STAGES = metrics.seconds("online", "stage_seconds", "Time that each stage of a request took.", ["stage"])
IMPRESSIONS = metrics.counter("online", "impressions", "Pages shown, by what became of their impression.", ["outcome"])
