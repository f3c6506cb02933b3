#!/usr/bin/env bash
# Run the core tests on onedl-mmengine, the maintained fork of mmengine, in an environment of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-work_dirs/fork}
version=${FORK_VERSION:-0.10.12}

pin() { grep -m1 "^$1==" "$2" | cut -d';' -f1; }

if [ ! -f "$folder/.installed" ]; then
    "${PYTHON:-python3}" -m venv "$folder"
    pip=("$folder/bin/python" -m pip install -q)
    "${pip[@]}" "$(pin torch requirements.txt)"
    "${pip[@]}" "onedl-mmengine==$version" "$(pin numpy requirements.txt)" "$(pin matplotlib requirements.txt)"
    # it would bring mmengine, and two of them share one folder
    "${pip[@]}" --no-deps "$(pin mmcv-lite requirements.txt)"
    "${pip[@]}" --force-reinstall --no-deps "$(pin opencv-python-headless requirements.txt)"
    for name in pytest pytest-xdist hypothesis scipy packaging scikit-learn setuptools pybvh; do
        "${pip[@]}" "$(pin "$name" requirements-test.txt)"
    done
    "${pip[@]}" -e . --no-deps --no-build-isolation
    touch "$folder/.installed"
fi
"$folder/bin/python" -c 'import mmengine; print("mmengine", mmengine.__version__, mmengine.__file__)'
OMP_NUM_THREADS=1 PYTHONPATH=$PWD "$folder/bin/python" -m pytest -n auto --maxprocesses 4 --dist loadfile -p no:cacheprovider \
    tests/test_utils tests/test_models/test_algorithms.py tests/test_engine/test_runs.py tests/test_engine/test_hooks.py \
    tests/test_engine/test_checkpoints.py tests/test_engine/test_resume.py tests/test_apis/test_inference.py \
    tests/test_apis/test_near_names.py tests/test_apis/test_zoo.py
