#!/bin/sh
# Make the two secrets that compose.yaml names, with one new password; what is there stays.
#   sh docker/secrets.sh [DIR]
set -eu

dir=${1:-secrets}
umask 077
mkdir -p "$dir"
if [ -e "$dir/postgres_password" ] || [ -e "$dir/database_url" ]; then
    echo "$dir has secrets already; nothing was changed" >&2
    exit 0
fi
# 48 hexadecimal digits: nothing that means something in a URL.
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" > "$dir/postgres_password"
printf 'postgresql://exportd:%s@postgres/exportd\n' "$password" > "$dir/database_url"
echo "$dir/postgres_password and $dir/database_url are made"
