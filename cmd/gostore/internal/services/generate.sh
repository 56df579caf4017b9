#!/bin/sh
# Writes services.tsv: the service names and port numbers registered at IANA,
# one line each: protocol, port (or range of ports), name, description.
#
# Where IANA can't be reached, Debian's libwireshark-data is the best copy of
# the registry with descriptions: /etc/services has only some 300 names. Run
# with `go generate` on Debian.
set -eu

target=$PWD/services.tsv
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet --quiet libwireshark-data
dpkg -x ./*.deb .

# A line reads "name ports/protocol[/protocol…] # description". The first name
# of a port is its official one; the later ones are aliases and left out.
awk '
	/^#/ || NF < 2 { next }
	{
		description = ""
		if (at = index($0, "#")) {
			description = substr($0, at + 1)
			sub(/^[ \t]+/, "", description)
			gsub(/\t/, " ", description)
		}
		count = split($2, part, "/")
		for (i = 2; i <= count; i++)
			if (!seen[part[i], part[1]]++)
				printf "%s\t%s\t%s\t%s\n", part[i], part[1], $1, description
	}
' usr/share/wireshark/services > "$target"
