#!/bin/sh
# bring_promtool.sh FOLDER: puts promtool into FOLDER, root or not.
#
# Debian's package `prometheus` would start a server on this machine, so the one file is
# taken out of it. apt-get checks the signatures, as it does when it installs.
set -eu
into=$(cd "$1" && pwd)
folder=$(mktemp -d "$into/promtool.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
download() {
    apt-get -q -o Acquire::http::Timeout=10 -o Acquire::Retries=1 download prometheus
}
# A machine without package lists gets them, if we may.
download || { apt-get -q update && download; }
dpkg -x prometheus_*.deb .
usr/bin/promtool --version
mv usr/bin/promtool "$into"
