#!/usr/bin/env bash
# Makes a base image for the container from Debian's packages, where no registry can be reached: Debian 12 with its Python 3.11, without
# package lists, manuals and translations. Needs root, debootstrap and a docker daemon; a minute or two.
#
#   scripts/lib/map_base.sh monai-pneumonia-base:bookworm
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

tag="$1"
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
[ "$(id -u)" -eq 0 ] || die "debootstrap needs root: run as root, or use a base image from a registry (--base)"
command -v debootstrap >/dev/null 2>&1 || die "debootstrap is not installed (apt-get install debootstrap), or use a base image from a registry (--base)"

work="$(mktemp -d)"
trap 'rm -rf --one-file-system "$work"' EXIT
# After debootstrap, which the same signal ends, has let go of the folder.
trap 'exit 143' TERM
root="$work/root"
debootstrap --variant=minbase --include=python3 bookworm "$root" "$mirror" >"$work/log" 2>&1 || {
  tail -n 5 "$work/log" >&2
  die "debootstrap failed; another mirror: DEBIAN_MIRROR=http://... $0"
}
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{man,info,locale}
# The licences stay.
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -depth -type d -empty -delete
tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["python3"]' - "$tag" >/dev/null
say "made the base image $tag from $mirror"
