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

# The scripts' --output is /dev/null, since SLURM would look for slurm_out/ where one submits: each
# names its `log`, which is written from here on, unless another --output was given.
write_log() {
    [[ $(scontrol show job "$SLURM_JOB_ID") = *StdOut=/dev/null* ]] || return 0
    mkdir -p "$root/slurm_out"
    exec >>"$root/slurm_out/${log:-$SLURM_JOB_NAME.out}" 2>&1
}

read_site() {
    local site=${DEMUCS_SITE:-slurm_scripts/site.env}
    local submitted_to=${SBATCH_PARTITION:-} submitted_as=${SBATCH_ACCOUNT:-}
    if [ -e "$site" ]; then
        set +eu -a # a line of it may fail, or read what is not set: it is the site's own
        # shellcheck source=/dev/null
        . "$site"
        set -eu +a
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
        conda activate "$wanted" || fail "DEMUCS_ENVIRONMENT=$wanted is not an environment of conda:" \
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
    export DEMUCS_WORLD_SIZE=${SLURM_NTASKS:-1} # what was asked for; demucs.train compares
    # When one task ends, the others have seconds to say why: tasks that save do it together, and
    # end together. (--kill-on-bad-exit would kill them for a task that ends with $STOPPED, too.)
    run_tasks --wait=8 python3 -m demucs.train "$@"
}

run_tasks() { # COMMAND ... for srun, of tasks that save and end with $STOPPED when they are told
    local code=0
    # Since SLURM 22.05 srun would otherwise give each task a single core.
    [ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
    srun --kill-on-bad-exit=0 "$@" &
    step=$!
    [ -z "$told" ] || kill -USR1 "$step"
    # A signal to this shell interrupts `wait`, which then is asked again.
    while kill -0 "$step" 2>/dev/null; do wait "$step" || :; done
    wait "$step" || code=$?
    [ "$code" != "$STOPPED" ] || requeue
    exit "$code"
}

# SLURM may signal this shell too (--signal=B:..., scancel --batch or --full, preemption): it hands
# that on to the tasks, and stays until they have saved.
told='' step=''
hand_on() {
    told=yes
    [ -z "$step" ] || kill -USR1 "$step" 2>/dev/null || :
}

requeue() { # the job, unless it was cancelled, or SLURM has queued it again by itself
    local state job=$SLURM_JOB_ID
    # The number of one task may be that of its whole array.
    [ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    state=$(scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p')
    if [ "$state" != RUNNING ]; then
        echo "stopped and saved; job $job is ${state:-gone}, so it is not requeued here"
    elif scontrol requeue "$job"; then
        echo "stopped and saved; job $job is queued again, and will resume there"
    else
        echo "error: stopped and saved, but job $job cannot be queued again: submit the" \
            "same command once more to continue" >&2
    fi
}

train_here() { # one process a GPU, or DEMUCS_WORKERS
    local workers=${DEMUCS_WORKERS:-}
    [ -n "$workers" ] || workers=$(python3 -c 'import torch; print(torch.cuda.device_count() or 1)')
    [[ $workers =~ ^[1-9][0-9]*$ ]] || fail "DEMUCS_WORKERS=$workers: give a number, e.g. 2"
    [ "$workers" -gt 1 ] || exec python3 -m demucs.train "$@"
    export DEMUCS_WORLD_SIZE=$workers
    python3 -m demucs.train --check "$@" # says what is wrong once, not from every process
    exec python3 -m tools.launch "$workers" "$@"
}

check_experiment() { # SIGNATURE FILE, before a job is queued that needs that file of its folder
    local folder=${DEMUCS_OUTPUTS:-outputs}/xps
    [[ $1 =~ ^[A-Za-z0-9_]+$ ]] || wrong "'$1' is not a signature, e.g. aa9b63ad"
    is_check_now || return 0
    [ -d "$folder/$1" ] ||
        fail "there is no experiment $1 in $folder: 'python3 -m tools.status' lists those there are"
    [ -e "$folder/$1/$2" ] ||
        { [ "$2" = .argv.json ] && [ -e "$folder/$1/.hydra/overrides.yaml" ]; } ||
        fail "the experiment $1 has no $2 yet: 'python3 -m tools.status $1' says how far it is"
}

check_flags() { # MODULE ARGUMENT ...: has its parser read them; its own words if it cannot
    local said
    said=$(python3 -c 'import sys; from importlib import import_module
import_module(sys.argv[1]).parse_options(sys.argv[2:])' "$@" 2>&1) || wrong "${said##*error: }"
}

check_release() { # NAME [FLAG ...], before a job is queued for it; sets `published` if it is no
    # release of ours, but a model that `demucs -n NAME` fetches
    local place
    # shellcheck disable=SC2034 # published is for the scripts
    published=
    [[ $1 =~ ^(hf://[A-Za-z0-9_./-]+|[A-Za-z0-9_][A-Za-z0-9_.,:-]*)$ ]] ||
        wrong "'$1' is not the name of a release, e.g. aa9b63ad"
    [[ " $* " != *" --repo"* ]] || return 0
    place=$(python3 -m tools.model_place "$1" "$root/release_models" 2>&1) || fail "${place#error: }"
    # shellcheck disable=SC2034
    [ "$place" != published ] || published=yes
    if [ -n "$place" ] || ! is_check_now; then return 0; fi
    fail "there is no release $1 in $root/release_models: make it with" \
        "'slurm_scripts/submit.sh slurm_release.sh $1'"
}

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
# shellcheck disable=SC2034 # typed_in is for the scripts
if is_batch; then
    write_log
    typed_in=${SLURM_SUBMIT_DIR:-$PWD} # submit.sh lets the job itself start in $root
    trap hand_on TERM USR1 USR2
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
