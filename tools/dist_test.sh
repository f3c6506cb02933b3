#!/usr/bin/env bash
# Evaluate a checkpoint with several processes on this machine.
set -euo pipefail

usage() {
    # mmactclr calls it by another name
    sed "s#bash tools/dist_test[.]sh#${MMACTCLR_COMMAND:-&}#" <<'TEXT'
usage: bash tools/dist_test.sh CONFIG CKPT GPUS [arguments of tools/test.py]

Evaluates a checkpoint with GPUS processes on this machine, one on each GPU; where there is no GPU, as many processes
on the CPU. The numbers are those of tools/test.py.

environment: PYTHON           interpreter, default python
             OMP_NUM_THREADS  CPU threads of each process, default 1

example: bash tools/dist_test.sh configs/actclr/actclr_3s_ntu60_xsub.py work_dirs/first/epoch_400.pth 8
TEXT
}

fail() {
    printf 'error: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

case "${1:-}" in
    -h | --help)
        usage
        exit 0
        ;;
esac
[ $# -ge 3 ] || fail "expected CONFIG, CKPT and GPUS, found $# argument(s)"
[[ $3 =~ ^[1-9][0-9]*$ ]] || fail "GPUS is '$3', expected the number of processes"
config=$1 checkpoint=$2 processes=$3
shift 3

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
tools="$(dirname "${BASH_SOURCE[0]}")"
# in the place of this shell, so that signals reach it
exec "${PYTHON:-python}" "$tools/launch.py" --standalone --nproc-per-node "$processes" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
