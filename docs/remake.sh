#!/usr/bin/env bash
# Measures every figure and table of the README and the docs on this machine, and writes them
# between the markers of the pages. It takes about 15 minutes; nothing else may run meanwhile.
# It needs: python -m pip install -e '.[bench,peers]'. Results stay in the folder given, or .remade/;
# a measurement whose file is there is not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-.remade}
mkdir -p "$folder"

measured() { # measured FILE COMMAND...: run the command and keep what it prints in FILE
  local file=$folder/$1
  shift
  [ -e "$file" ] || { echo "$*" && "$@" >"$file.part" && mv "$file.part" "$file"; }
}

measured run.txt python -m pytest --benchmark-only --benchmark-json="$folder/run.json"
for size in 1 256 60000; do
  measured "training-$size.txt" python -m mnist_mlp --batch-size "$size" --epochs 10 --engine native \
    --checkpoints "$folder"
done
measured sweet-spot.txt python -m bench sweet-spot --engines=loader,native
measured convnet.txt python -m bench sweet-spot --task=examples/convnet.py --runs="$folder/convnet.jsonl"
measured workers.txt python -m bench scale --figure docs/workers.png
measured peers.txt python -m pytest --benchmark-only bench/test_peers.py -k "not by_hand" \
  --batch-sizes=1,4,16,64,256,1024,8192,60000 --benchmark-json="$folder/peers.json"

python -m bench report "$folder/run.json" -o "$folder/report.html" --png "$folder"
cp "$folder/epoch-time.png" "$folder/time-to-target.png" docs/
PYTHONPATH=. python docs/pages.py "$folder"
