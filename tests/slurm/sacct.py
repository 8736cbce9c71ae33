"""Stands in for `sacct`, which needs a data base that this cluster has not.

Answers the one question that submitit (below `dora grid`) asks, `sacct -o JobID,State,NodeList
--parsable2 -j ID ...`, from what slurmctld remembers; the options are not looked at.
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from jobs import parse_jobs


def main() -> None:
    """Prints a line for each job, as sacct does."""
    shown = subprocess.run(
        ["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=True
    )
    print("JobID|State|NodeList")
    for job in parse_jobs(shown.stdout):
        number = job.number
        if job.array_task is not None:
            task = job.array_task if job.array_task.isdigit() else f"[{job.array_task}]"
            number = f"{job.fields['ArrayJobId']}_{task}"
        print(f"{number}|{job.state}|{job.fields.get('NodeList', '')}")


if __name__ == "__main__":
    main()
