#!/bin/sh
# archive_command = '/usr/local/bin/archive-wal.sh %p %f'
# Keeps one WAL file: durable before PostgreSQL hears of success, and nothing overwritten.
# What is there already is a success if it is the same, for the answer may have been lost.
set -eu
folder=${WAL_ARCHIVE:-/mnt/backup/wal}
place=$folder/$2
if [ -e "$place" ]; then
    cmp -s "$1" "$place"
    exit
fi
cp "$1" "$place.part"
sync "$place.part"
mv -n "$place.part" "$place"
sync "$folder"
