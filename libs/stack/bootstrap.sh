#!/bin/sh
# Finds a CPython that Headrace can run on and installs uv beside it, into .headrace/ of the current directory.
# HEADRACE_PYTHON names an interpreter; without it the first that fits is taken.
set -eu
here=$(dirname "$0")

# Says nothing and succeeds, or says what is wrong with the interpreter $1. Envoy and Triton load Python as a library.
problem() {
    "$1" - 2>/dev/null <<'PYTHON' || echo "does not run"
import importlib.util, os, platform, sys, sysconfig
library = sysconfig.get_config_var("INSTSONAME") or ""
places = [sysconfig.get_config_var("LIBDIR") or "", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"]
if platform.python_implementation() != "CPython" or sys.version_info[:2] not in [(3, 11), (3, 12)]:
    print("is not CPython 3.11 or 3.12 but", platform.python_implementation(), platform.python_version())
elif not importlib.util.find_spec("ensurepip"):
    print("has no venv module (Debian and Ubuntu: install python%d.%d-venv)" % sys.version_info[:2])
elif ".so" not in library or not any(os.path.exists(os.path.join(place, library)) for place in places):
    print("has no shared library (Debian and Ubuntu: install libpython%d.%d; pyenv: --enable-shared)" % sys.version_info[:2])
PYTHON
}

# Both environments, with Triton's wheel, and what building the filter may fetch.
needed_mb=2400
free_mb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
if [ ! -d .venv ] && [ "$free_mb" -lt "$needed_mb" ]; then
    echo "make setup needs 2.4 GB in $(pwd), and ${free_mb} MB are free there: free some, or clone onto a larger disk." >&2
    exit 1
fi

seen=""
for candidate in ${HEADRACE_PYTHON:-python3.11 python3.12 python3 /usr/bin/python3.11 /usr/bin/python3.12 \
    "$HOME"/.pyenv/versions/3.11.*/bin/python "$HOME"/.pyenv/versions/3.12.*/bin/python}; do
    python=$(command -v "$candidate" 2>/dev/null) || continue
    wrong=$(problem "$python")
    if [ -z "$wrong" ]; then
        mkdir -p .headrace
        chmod 700 .headrace
        echo "using $("$python" -c 'import sys; print(sys.executable, "(CPython %d.%d.%d)" % sys.version_info[:3])')"
        "$python" -c 'import sys; print(sys.executable)' >.headrace/python
        "$python" -m venv --clear .headrace/uv
        .headrace/uv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --require-hashes --requirement "$here/bootstrap.txt"
        exit 0
    fi
    seen="$seen
  $python $wrong"
done
echo "Headrace needs CPython 3.11 or 3.12. HEADRACE_PYTHON=/path/to/python names one. Found:${seen:-
  none}" >&2
exit 1
