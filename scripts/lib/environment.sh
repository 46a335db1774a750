# shellcheck shell=bash
# Shared by the scripts: finds Python, makes virtual environments, installs into them. Sourced, not run.
#
# A caller sets -euo pipefail, sources this file and then calls
#   make_environment .venv requirements/core.txt package               # to run the package
#   make_environment .venv requirements/core.txt package development   # to test and check it as well
# after which $PYTHON_BIN is the environment's interpreter.
#
# What a user may set:
#   PYTHON                  the interpreter to make environments with
#   MONAI_PNEUMONIA_PYTHON  an interpreter to use as it is: nothing is made or installed (clusters, containers)
#   TORCH_INDEX_URL         where to take torch from, for a mirror or another CUDA version

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
TORCH_CPU_INDEX="https://download.pytorch.org/whl/cpu"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# Prints the first interpreter that is new enough and can make virtual environments.
find_python() {
  local candidate found="" without_venv=""
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3.10 python3 python; do
    # A launcher may be on PATH without an interpreter behind it: run it.
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 || continue
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      found="$candidate"
      break
    fi
    without_venv="${without_venv:-$candidate}"
  done
  if [ -z "$found" ]; then
    [ -z "$without_venv" ] || die "$without_venv cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)"
    die "no Python 3.10 or newer found: install one, or name it, as in PYTHON=/path/to/python3.11 ${0##*/}"
  fi
  if [ -n "${PYTHON:-}" ] && [ "$found" != "$PYTHON" ]; then
    die "PYTHON=$PYTHON is no Python 3.10 or newer that can make virtual environments: mend or unset it"
  fi
  printf '%s\n' "$found"
}

has_nvidia_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; }

# Ends with an error where torch sees no CUDA device.
require_cuda() {
  "$PYTHON_BIN" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    die "torch sees no CUDA device: $("$PYTHON_BIN" -c 'import torch; print(torch.__version__)') in $PYTHON_BIN; check the driver with nvidia-smi"
}

# One word for what the environment is made from: when it changes, the environment is brought up to date.
environment_fingerprint() { # constraints accelerator
  {
    cat "$ROOT/pyproject.toml" "$ROOT/$1" "$ROOT/scripts/lib/environment.sh"
    printf '%s %s %s\n' "$("$PYTHON_BIN" -VV)" "$ROOT $2" "${TORCH_INDEX_URL:-}"
  } | "$PYTHON_BIN" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

# Twice quiet: errors alone. pip repeats a warning about each extra index for every package.
pip_install() { "$PYTHON_BIN" -m pip install -qq --constraint "$CONSTRAINTS" "$@"; }

# torch first and by itself: any other package would bring the build with the newest CUDA, several gigabytes.
install_torch() { # accelerator
  local version
  version="$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$CONSTRAINTS")"
  [ -n "$version" ] || die "$CONSTRAINTS pins no torch"
  if [ -n "${TORCH_INDEX_URL:-}" ]; then
    pip_install --no-deps --index-url "$TORCH_INDEX_URL" "torch==$version"
  elif [ "$1" = cuda ]; then
    # Three equal signs: the plain build, which is the CUDA one, and no local wheel marked +cpu.
    "$PYTHON_BIN" -m pip install -qq "torch===$version"
  elif [ "$(uname -s)" = Linux ]; then
    # Few and short tries: where this index cannot be reached, a wheel that pip is configured to find still serves.
    pip_install --no-deps --timeout 20 --retries 2 --index-url "$TORCH_CPU_INDEX" "torch==$version" || {
      say "no CPU build of torch $version at $TORCH_CPU_INDEX: taking the default index's, which may bring gigabytes of CUDA libraries"
      pip_install "torch==$version"
    }
  else
    pip_install "torch==$version"
  fi
}

install_part() { # part
  case "$1" in
    package) pip_install --no-build-isolation --editable "$ROOT" ;;
    *) (cd "$ROOT" && pip_install --group "$1") ;;
  esac
}

describe_environment() {
  "$PYTHON_BIN" -c '
import importlib.metadata, platform
print("Python", platform.python_version(), *(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "monai", "numpy", "pydicom")))'
}

# Makes or updates an environment in the checkout and sets PYTHON_BIN.
# Parts: "package", and names of dependency groups in pyproject.toml. A part that is up to date is left alone.
make_environment() { # folder constraints part...
  local folder="$ROOT/$1" accelerator=cpu fingerprint stamp part
  CONSTRAINTS="$ROOT/$2"
  shift 2
  if [ -n "${MONAI_PNEUMONIA_PYTHON:-}" ]; then
    PYTHON_BIN="$MONAI_PNEUMONIA_PYTHON"
    say "using $PYTHON_BIN as it is (MONAI_PNEUMONIA_PYTHON)"
    return
  fi
  if has_nvidia_gpu; then accelerator=cuda; fi
  PYTHON_BIN="$folder/bin/python"
  if ! "$PYTHON_BIN" -c '' >/dev/null 2>&1; then
    local base
    base="$(find_python)"
    say "making $folder with $("$base" -V)"
    "$base" -m venv --clear "$folder"
  fi
  fingerprint="$(environment_fingerprint "${CONSTRAINTS#"$ROOT/"}" "$accelerator")"
  stamp="$folder/.installed-$fingerprint"
  if [ ! -d "$stamp" ]; then
    rm -rf "$folder"/.installed-*
    say "installing torch for $accelerator into $folder"
    "$PYTHON_BIN" -m pip install -qq "pip>=25.1"
    pip_install setuptools
    install_torch "$accelerator"
    mkdir "$stamp"
  fi
  for part in "$@"; do
    [ -e "$stamp/$part" ] && continue
    say "installing the $part part into $folder (a minute or two)"
    install_part "$part"
    touch "$stamp/$part"
  done
  say "$folder is ready: $(describe_environment)"
}
