#!/bin/sh
# Builds the filter beside its source: with cc, or where there is none with the one in the wheel ziglang, by the uv in $UV.
set -eu
cd "$(dirname "$0")"
if command -v cc >/dev/null 2>&1; then
    compiler=cc
else
    compiler="${UV:-uv} run --quiet --isolated --frozen --only-group native python -m ziglang cc -target $(uname -m)-linux-gnu.2.28"
fi
# Under a name of its own first: an Envoy that runs has the old one mapped.
$compiler -std=c11 -D_DEFAULT_SOURCE -O2 -Wall -Wextra -Werror -fPIC -shared -o libheadrace_filter_bridge.so.new filter_bridge.c repeated_answers.c
mv libheadrace_filter_bridge.so.new libheadrace_filter_bridge.so
