#!/bin/sh
# Tells the mirror of Debian's main archive from the other package sources of a machine.
#
#   apt-get --print-uris update | eng/debian/mirrors.sh bookworm     # the code name of the machine's release
#
# Prints candidates, the likeliest first: of the own suite or a rolling one, and best with updates beside it. A third party can name
# its suite like Debian's, but it has no suite of updates; in the end the archive's signature decides.
awk -F "'" -v own="$1" '
$2 ~ /\/dists\/[^\/]+\/InRelease$/ {
    split($2, part, /\/+dists\//)
    suite = part[2]
    sub(/\/InRelease$/, "", suite)
    count++
    base[count] = part[1]
    named[count] = suite
    has[part[1], suite] = 1
}
END {
    for (i = 1; i <= count; i++)
        if (named[i] == own || named[i] ~ /^(stable|testing|unstable|sid)$/)
            print 4 * ((base[i], named[i] "-updates") in has) + 2 * (base[i] ~ /\/debian$/) + (named[i] == own), base[i]
}' | sort -s -k 1,1nr | awk '!seen[$2]++ { print $2 }'
