# shellcheck shell=bash
# Shared by the scripts that need docker: uses the daemon that runs, or starts one and stops it again. Sourced, not run.

DOCKER_PACKAGES="docker.io debootstrap"

# Why containers cannot be built here, as a sentence; nothing where they can.
why_no_docker() {
  if docker info >/dev/null 2>&1; then return; fi
  if ! command -v docker >/dev/null 2>&1; then
    echo "docker is not installed (Debian: apt-get install $DOCKER_PACKAGES)"
  elif [ "$(id -u)" -ne 0 ]; then
    echo "no docker daemon answers this user: start one (systemctl start docker), or join its group"
  elif ! command -v dockerd >/dev/null 2>&1; then
    echo "no docker daemon runs or is installed (Debian: apt-get install $DOCKER_PACKAGES)"
  fi
}

# Starts a daemon where none runs and this user may; the caller's exit handler calls stop_docker. Where none is to be had it returns 1,
# and DOCKER_FAULT says why.
try_docker() {
  local log second
  DOCKER_FAULT="$(why_no_docker)"
  [ -z "$DOCKER_FAULT" ] || return 1
  docker info >/dev/null 2>&1 && return
  log="$(mktemp)"
  say "starting a docker daemon; it is stopped at the end"
  setsid dockerd >"$log" 2>&1 </dev/null &
  DOCKER_DAEMON=$!
  for second in $(seq 30); do
    sleep 1
    if docker info >/dev/null 2>&1; then
      rm -f "$log"
      return
    fi
    kill -0 "$DOCKER_DAEMON" 2>/dev/null || break
  done
  stop_docker
  tail -n 5 "$log" >&2
  DOCKER_FAULT="the docker daemon did not start within $second s; its log is $log"
  return 1
}

# The same, where nothing can be done without.
start_docker() { try_docker || die "$DOCKER_FAULT"; }

# Stops the daemon that start_docker has started, and no other.
stop_docker() {
  [ -n "${DOCKER_DAEMON:-}" ] || return 0
  kill "$DOCKER_DAEMON" 2>/dev/null || true
  wait "$DOCKER_DAEMON" 2>/dev/null || true
  DOCKER_DAEMON=""
}

application_version() { sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$ROOT/monai_pneumonia/__init__.py"; }

# The commit that the checkout stands at, marked where its files are not those of the commit.
source_revision() {
  local commit=""
  # Git would also answer for a repository that a folder without one lies in.
  if [ -e "$ROOT/.git" ]; then commit="$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || true)"; fi
  if [ -n "$commit" ] && [ -n "$(git -C "$ROOT" status --porcelain)" ]; then commit="$commit-dirty"; fi
  echo "${commit:-unknown}"
}

# The image of a flavour, as scripts/map build names it.
image_name() { echo "monai-pneumonia:$(application_version)-$1"; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }
