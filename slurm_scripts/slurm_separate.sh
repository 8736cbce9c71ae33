#!/usr/bin/env bash
#SBATCH --job-name=demucs_separate
#SBATCH --output=/dev/null
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#SBATCH --requeue
#
# Separates into separated/, by a release of ours or a published model such as htdemucs:
#   sbatch slurm_scripts/slurm_separate.sh FILE|FOLDER|LIST.txt NAME [FLAG ...]
# Several files are a job array, with a task for each of them, up to DEMUCS_ARRAY_SIZE (100) tasks.
# FLAGs are those of `demucs`: -r takes the files of sub-folders too, --resume leaves out what is done.

log=demucs_separate.out # in slurm_out/, wherever one submits from
usage='sbatch slurm_scripts/slurm_separate.sh FILE|FOLDER|LIST.txt NAME [FLAG ...]'

# SLURM runs a copy of this script: the repository is where it has the script from, or else at or
# above the folder of the submission. (The same lines in all scripts.)
scripts=$(dirname "$0") above=${SLURM_SUBMIT_DIR:-$PWD}
if [[ $0 = */slurm_script && $(scontrol show job "$SLURM_JOB_ID") =~ Command=([^$'\n']*) ]]; then
    scripts=${BASH_REMATCH[1]%%/slurm_scripts/*}/slurm_scripts
fi
while [ ! -f "$scripts/common.sh" ] && [ -n "$above" ]; do
    scripts=$above/slurm_scripts above=${above%/*}
done
[ -f "$scripts/common.sh" ] || {
    echo "error: no repository at or above ${SLURM_SUBMIT_DIR:-$PWD}: submit from its folder" >&2
    exit 1
}
# shellcheck source=slurm_scripts/common.sh
. "$scripts/common.sh"

[ $# -ge 2 ] || wrong "give what to separate, and the NAME of a release"
what=$1 name=$2
shift 2
check_release "$name" "$@"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
cd "$typed_in" # so that files and flags mean what they meant to the user

recursive= # is -r among the flags?
[[ " $* " != *" -r "* && " $* " != *" --recursive "* ]] || recursive=yes

audio_files() { # of a folder, or those that a list names; as demucs/separate/inputs.py finds them
    local kinds='wav|wave|flac|aiff|aif|aifc|w64|rf64|au|caf|mp3|mp2|ogg|oga|opus|m4a|m4b|aac|ac3|wma|wv|ape|tta|mka|webm|mp4'
    if [ -d "$what" ]; then
        local skip=(-name '.*') depth=(-maxdepth 1)
        [ -z "$recursive" ] || depth=()
        [ ! -e "$root/separated" ] || skip=('(' "${skip[@]}" -o -samefile "$root/separated" ')')
        find -L "$what" -mindepth 1 "${depth[@]}" "${skip[@]}" -prune -o -type f -print |
            grep -iE "\.($kinds)$" | LC_ALL=C sort
    elif [[ $what = *.txt ]]; then
        tr -d '\r' <"$what" | grep -vE '^ *(#|$)'
    else
        echo "$what"
    fi
}

if [ ! -e "$what" ]; then
    [ "${DEMUCS_CHECK:-}" != later ] || exit 0
    fail "there is no $what in $typed_in: give an audio file, a folder of them or a list of names"
fi
mapfile -t files < <(audio_files)
[ ${#files[@]} -gt 0 ] || fail "$what has no audio file: give a folder of them, or a list of names"
for file in "${files[@]}"; do
    [ -f "$file" ] || fail "$what: there is no file $file; names are relative to $typed_in"
done
if [ ${#files[@]} -gt 1 ]; then
    folders='s|.*/||' # of the files make no difference to their results, but with -r
    [ -z "$recursive" ] || folders=
    twice=$(printf '%s\n' "${files[@]}" | sed "$folders; s|\\.[^./]*\$||" | sort | uniq -d | head -n 1)
    [ -z "$twice" ] || [[ " $*" = *" --filename"* ]] ||
        fail "$what: two files are called $twice, so their stems would be: rename one of them"
fi

# Flags are read without torch, so at once.
separate=(-n "$name" -o "$root/separated" "$@")
[ -n "$published" ] || separate=(--repo "$root/release_models" "${separate[@]}")
[ -z "$recursive" ] || [ ! -d "$what" ] || [[ " $*" = *" --root"* ]] || separate+=(--root "$what")
separate+=(--)
read_flags='import sys; from demucs.separate.options import parse_options as p; p(sys.argv[1:])'
said=$(python3 -c "$read_flags" "${separate[@]}" "${files[0]}" 2>&1) || wrong "${said##*error: }"
[[ " $* " != *" -n "* && " $* " != *" --name"[\ =]* ]] || wrong "the NAME is given twice, and with -n"

array=${DEMUCS_ARRAY_SIZE:-100}
[[ $array =~ ^[1-9][0-9]*$ ]] || fail "DEMUCS_ARRAY_SIZE=$array: give a number of tasks, e.g. 100"
[ "$array" -lt ${#files[@]} ] || array=${#files[@]}
if is_check; then # for submit.sh
    [ "$array" -le 1 ] ||
        printf '%s\n' "--array=0-$((array - 1))" --output=slurm_out/demucs_separate_%A_%a.out
    exit 0
elif [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    # The first task to start writes down the files for all, as the folder may change meanwhile.
    list=$root/slurm_out/demucs_separate_$SLURM_ARRAY_JOB_ID.list
    printf '%s\n' "${files[@]}" >"$list.$SLURM_ARRAY_TASK_ID"
    ln "$list.$SLURM_ARRAY_TASK_ID" "$list" 2>/dev/null ||
        [ -f "$list" ] || cp "$list.$SLURM_ARRAY_TASK_ID" "$list"
    rm "$list.$SLURM_ARRAY_TASK_ID"
    mapfile -t files <"$list"
    share=()
    first=$(((SLURM_ARRAY_TASK_ID - ${SLURM_ARRAY_TASK_MIN:-0}) / ${SLURM_ARRAY_TASK_STEP:-1}))
    for ((i = first; i < ${#files[@]}; i += SLURM_ARRAY_TASK_COUNT)); do
        share+=("${files[i]}")
    done
    [ ${#share[@]} -gt 0 ] || exit 0
    files=("${share[@]}")
elif is_batch && [ "$array" -gt 1 ] && command -v sbatch >/dev/null; then
    exec bash "$root/slurm_scripts/submit.sh" slurm_separate.sh "$what" "$name" "$@"
fi
python3 -m demucs.separate "${separate[@]}" "${files[@]}"
