#!/usr/bin/env bash
# Pretrain with several processes on this machine.
set -euo pipefail

usage() {
    # mmactclr calls it by another name
    sed "s#bash tools/dist_train[.]sh#${MMACTCLR_COMMAND:-&}#" <<'TEXT'
usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]

Pretrains with GPUS processes on this machine, one on each GPU; where there is no GPU, as many processes on the CPU.
Every process takes train_dataloader.batch_size sequences a step, so the batch is GPUS times as large.
--auto-scale-lr scales the learning rate of the config with it.

SIGTERM, SIGINT, SIGUSR1 and SIGHUP (a terminal that is closed; not under nohup) are passed on: the processes write a
checkpoint and end; --resume goes on from it. If one process dies the others are stopped.

exit code: 0 trained, 143 stopped by SIGTERM or SIGUSR1, 130 by SIGINT, 129 by SIGHUP, else that of the process that
failed, 128 + N if signal N killed it

environment: PYTHON           interpreter, default python
             OMP_NUM_THREADS  CPU threads of each process, default 1

example: bash tools/dist_train.sh configs/actclr/actclr_3s_ntu60_xsub.py 8 --work-dir work_dirs/first \
             --cfg-options train_dataloader.batch_size=16
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
[ $# -ge 2 ] || fail "expected CONFIG and GPUS, found $# argument(s)"
[[ $2 =~ ^[1-9][0-9]*$ ]] || fail "GPUS is '$2', expected the number of processes"
config=$1 processes=$2
shift 2

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
tools="$(dirname "${BASH_SOURCE[0]}")"
# in the place of this shell, so that signals reach it
exec "${PYTHON:-python}" "$tools/launch.py" --standalone --nproc-per-node "$processes" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
