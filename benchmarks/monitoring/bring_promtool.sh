#!/bin/sh
# bring_promtool.sh FOLDER: puts promtool into FOLDER, with or without root.
#
# Installing Debian's package `prometheus` would start a server on this machine, so only
# the one file is extracted. apt-get checks the signatures, as in an installation.
set -eu
into=$(cd "$1" && pwd)
folder=$(mktemp -d "$into/promtool.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
download() {
    apt-get -q -o Acquire::http::Timeout=10 -o Acquire::Retries=1 download prometheus
}
# Without package lists, fetch them first; that needs root.
download || { apt-get -q update && download; }
dpkg -x prometheus_*.deb .
usr/bin/promtool --version
mv usr/bin/promtool "$into"
