# shellcheck shell=bash
# Shared by all scripts of this folder, which source it: the site's settings, the Python
# environment, and how training starts. Afterwards the current folder is the repository, `$root`;
# `$typed_in` is where the user typed the command.

set -euo pipefail

readonly STOPPED=85 # how demucs.train ends when it was told to stop, and all is saved

fail() { # MESSAGE
    echo "error: $*" >&2
    exit 1
}

wrong() { # MESSAGE: the arguments are wrong; each script sets `usage`
    echo "usage: ${usage-} ($*)" >&2
    exit 2
}

# A batch job or an allocation, whose tasks srun starts; inside a step of srun they are there.
in_job() { [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ]; }

# True in the copy of a script that SLURM runs, false where one types `bash SCRIPT`.
is_batch() { in_job && [ "${0##*/}" = slurm_script ]; }

# submit.sh runs a script with DEMUCS_CHECK to check the arguments alone: 1, or `later` where the
# job waits for other jobs, so that what it works on need not exist yet.
is_check() { [ -n "${DEMUCS_CHECK:-}" ]; }
is_check_now() { [ "${DEMUCS_CHECK:-}" = 1 ]; }

read_site() {
    local site=${DEMUCS_SITE:-slurm_scripts/site.env}
    local submitted_to=${SBATCH_PARTITION:-} submitted_as=${SBATCH_ACCOUNT:-}
    if [ -e "$site" ]; then
        set -a
        # shellcheck source=/dev/null
        . "$site"
        set +a
    elif [ -n "${DEMUCS_SITE:-}" ]; then
        fail "DEMUCS_SITE=$DEMUCS_SITE does not exist: copy slurm_scripts/site.env.example there"
    fi
    is_batch || return 0
    [ -n "$submitted_to" ] || compare partition "${SBATCH_PARTITION:-}" "${SLURM_JOB_PARTITION:-}"
    [ -n "$submitted_as" ] || compare account "${SBATCH_ACCOUNT:-}" "${SLURM_JOB_ACCOUNT:-}"
}

compare() { # WHAT SITE'S JOB'S: plain `sbatch` knows the site file only where it was sourced
    [ -n "$3" ] || return 0
    case ",${2:-$3}," in *",$3,"*) return 0 ;; esac
    echo "warning: this job has the $1 '$3', and site.env says '$2': submit with" \
        "slurm_scripts/submit.sh, or type '. slurm_scripts/site.env' before sbatch" >&2
}

activate() { # the environment the site names; or the active one; or .venv beside the code
    local wanted=${DEMUCS_ENVIRONMENT:-} conda=${CONDA_DEFAULT_ENV:-base}
    if [ -z "$wanted" ]; then
        { [ -n "${VIRTUAL_ENV:-}" ] || [ "$conda" != base ] || [ ! -d .venv ]; } && return 0
        wanted=.venv
    fi
    set +u # activation scripts read variables that are not set
    if [ -f "$wanted/bin/activate" ]; then
        # shellcheck source=/dev/null
        . "$wanted/bin/activate"
    elif command -v conda >/dev/null; then
        eval "$(conda shell.bash hook)"
        conda activate "$wanted" || fail "DEMUCS_ENVIRONMENT=$wanted is no environment of conda:" \
            "'conda env list' has their names; set it in slurm_scripts/site.env"
    else
        fail "DEMUCS_ENVIRONMENT=$wanted has no bin/activate, and conda is not on PATH: name a" \
            "folder made by 'python3 -m venv', or make conda available, in slurm_scripts/site.env"
    fi
    set -u
}

check_python() {
    python3 -c 'import sys, importlib.util as u; sys.exit(u.find_spec("torch") is None)' ||
        fail "$(command -v python3 || echo python3) has no torch: install as README.md says, and" \
            "name the environment as DEMUCS_ENVIRONMENT in slurm_scripts/site.env"
}

train() { # ARGUMENT ... of demucs.train: with the job's tasks, or, without SLURM, here
    if is_check; then
        local signature
        signature=$(python3 -m demucs.train --check "$@" | tail -n 1)
        echo "experiment $signature"
    elif in_job; then
        train_in_job "$@"
    else
        train_here "$@"
    fi
}

train_in_job() {
    local code=0
    export DEMUCS_WORLD_SIZE=${SLURM_NTASKS:-1} # what was asked for; demucs.train compares
    # Since SLURM 22.05 srun would otherwise give each task a single core.
    [ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
    # When one task ends, the others have a minute to save and to say why.
    srun --kill-on-bad-exit=0 --wait=60 python3 -m demucs.train "$@" || code=$?
    [ "$code" != "$STOPPED" ] || requeue
    exit "$code"
}

requeue() { # the job, unless it was cancelled, or SLURM has queued it again by itself
    local state
    state=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p')
    if [ "$state" != RUNNING ]; then
        echo "stopped and saved; job $SLURM_JOB_ID is ${state:-gone}, so it is not requeued here"
    elif scontrol requeue "$SLURM_JOB_ID"; then
        echo "stopped and saved; job $SLURM_JOB_ID is queued again, and will go on from there"
    else
        echo "error: stopped and saved, but job $SLURM_JOB_ID cannot be queued again: submit the" \
            "same command once more to go on" >&2
    fi
}

train_here() { # one process a GPU, or DEMUCS_WORKERS
    local workers=${DEMUCS_WORKERS:-} from=()
    [ -n "$workers" ] || workers=$(python3 -c 'import torch; print(torch.cuda.device_count() or 1)')
    [[ $workers =~ ^[1-9][0-9]*$ ]] || fail "DEMUCS_WORKERS=$workers: give a number, as 2"
    [ "$workers" -gt 1 ] || exec python3 -m demucs.train "$@"
    export DEMUCS_WORLD_SIZE=$workers
    python3 -m demucs.train --check "$@" # says what is wrong once, not from every process
    if [ "$1" = -f ]; then from=(-f "$2") && shift 2; fi
    exec python3 -m dora -P demucs run -d --ddp_workers="$workers" ${from[@]+"${from[@]}"} -- "$@"
}

check_experiment() { # SIGNATURE, before a job is queued for it
    local folder=${DEMUCS_OUTPUTS:-outputs}/xps
    [[ $1 =~ ^[A-Za-z0-9_]+$ ]] || wrong "'$1' is no signature, as aa9b63ad"
    ! is_check_now || [ -d "$folder/$1" ] ||
        fail "there is no experiment $1 in $folder: 'python3 -m tools.status' lists those there are"
}

check_release() { # NAME [FLAG ...], before a job is queued for it
    [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] || wrong "'$1' is no name of a release, as aa9b63ad"
    if ! is_check_now || [[ " $* " = *" --repo"* ]]; then return 0; fi
    compgen -G "$root/release_models/$1*" >/dev/null ||
        fail "there is no release $1 in $root/release_models: make it with" \
            "'slurm_scripts/submit.sh slurm_release.sh $1'"
}

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
# shellcheck disable=SC2034 # typed_in is for the scripts
if is_batch; then
    typed_in=${SLURM_SUBMIT_DIR:-$PWD} # submit.sh lets the job itself start in $root
    trap : TERM # SLURM may tell this shell to end as well: stay until the tasks have saved
    echo "== $(date '+%F %T'): job $SLURM_JOB_ID (${SLURM_JOB_NAME:-}) on" \
        "${SLURM_JOB_NODELIST:-?}, start $((${SLURM_RESTART_COUNT:-0} + 1)), arguments: $*"
else
    typed_in=$PWD
fi
cd "$root"
read_site
activate
check_python
export PATH="${DEMUCS_SOUNDTOUCH:-$root/soundtouch/build}:$PATH" # soundstretch, if built beside
mkdir -p slurm_out
