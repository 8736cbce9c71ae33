# shellcheck shell=bash
# Shared by all jobs, sourced: goes to the repository and activates its environment.
#
# sbatch runs a copy of a script from a folder of its own, so the repository is the folder that one
# submits from, or, without SLURM, the one where one starts the script.

set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$PWD}"

# The virtual environment beside the code, unless one (or conda's) is active already.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -f .venv/bin/activate ]; then
    # shellcheck disable=SC1091
    . .venv/bin/activate
fi
export PATH="$PWD/soundtouch/build:$PATH" # soundstretch, where it was built beside the code
