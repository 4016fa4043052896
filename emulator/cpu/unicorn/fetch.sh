#!/bin/sh
# Brings Debian 13's libunicorn 2.1.1 into DIR, without root and without touching the machine's apt state:
# a private source list with the machine's own mirror and the suite trixie. Does nothing where the library is there.
# usage: fetch.sh DIR
set -eu
say() { echo "margay: unicorn: $*" >&2; }
dir=$(mkdir -p "$1" && cd "$1" && pwd)
if [ -n "${UNICORN_LIB:-}" ] && [ -e "$UNICORN_LIB" ]; then exit 0; fi
if [ -n "$(find "$dir" -name 'libunicorn.so.2*' 2>/dev/null | head -n 1)" ]; then exit 0; fi
hint="install Unicorn 2.1.1 (Debian 13: apt-get install libunicorn2t64) and set UNICORN_LIB=/path/to/libunicorn.so.2"
command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || { say "no apt-get on this system: $hint"; exit 2; }
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u | grep -v security | head -n 1)
if [ -z "$mirror" ]; then # package lists not fetched yet: take the mirror from the source lists
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -nE 's/^(deb +(\[[^]]*\] +)?|URIs: *)([^ ]*debian\/?)( .*)?$/\3/p' | grep -v security | head -n 1)
fi
[ -n "$mirror" ] || { say "no Debian mirror configured on this machine: $hint"; exit 2; }
echo "fetching the Unicorn library (libunicorn2t64 2.1.1)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/root"
echo "deb $mirror trixie main" > "$work/sources.list"
apt="apt-get -qq -o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$work/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Get::List-Cleanup=0 -o Debug::NoLocking=1 -o APT::Sandbox::User=root"
{ $apt update && (cd "$work" && $apt download libunicorn2t64 && dpkg -x libunicorn2t64_*.deb root); } >"$work/log" 2>&1 ||
  { cat "$work/log" >&2; say "the download failed: $hint"; exit 2; }
lib=$(find "$work/root" -name 'libunicorn.so.2' | head -n 1)
cp "$lib" "$dir/libunicorn.so.2"
