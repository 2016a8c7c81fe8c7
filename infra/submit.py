"""What spark-submit is given: `spark-submit [options] infra/submit.py JOB --config marquee.toml`.

It is `python -m offline JOB …` under a driver that spark-submit has started: master, memory and jars are the submitter's.
The packages must be importable on every node, from the image or through `--py-files`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script finds its own folder first on the path; in a checkout the packages are one folder up.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

    from offline.__main__ import main

    main(prog_name="infra/submit.py")
