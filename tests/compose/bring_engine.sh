#!/bin/sh
# bring_engine.sh FOLDER: installs Debian's Docker engine, as root, without starting it, and
# puts Compose into FOLDER. Debian 12 has no Compose v2; that of Debian 13 is one static file.
set -eu
into=$(mkdir -p "$1" && cd "$1" && pwd)
brought="docker.io iptables slirp4netns debootstrap"
if ! dpkg-query --show $brought >/dev/null 2>&1; then
    apt-get -q update
    # Without /usr/sbin/policy-rc.d saying no, the package would start its own engine.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get -q install --yes --no-install-recommends $brought
fi
[ -x "$into/docker-compose" ] && exit
folder=$(mktemp -d "$into/apt.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p lists/partial cache/archives/partial
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "http://deb.debian.org/debian trixie main" > sources.list
# Lists of its own: the machine's stay as they are. apt-get checks the signatures.
apt() {
    apt-get -q -o Dir::Etc::SourceList="$folder/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$folder/lists" \
        -o Dir::Cache="$folder/cache" -o APT::Sandbox::User=root "$@"
}
apt update
apt download docker-compose docker-buildx
for package in *.deb; do dpkg-deb -x "$package" .; done
mv usr/libexec/docker/cli-plugins/* "$into"
